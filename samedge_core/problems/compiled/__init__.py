"""Networks whose loss, gradient and Hessian-vector products are written out and compiled."""
