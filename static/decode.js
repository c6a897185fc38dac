/** Reads what pages/parts/components/wire.py has encoded. */

/** @type {Record<string, Float32ArrayConstructor | Float64ArrayConstructor | Uint8ArrayConstructor>} */
const ARRAYS = { f4: Float32Array, f8: Float64Array, u1: Uint8Array, bits: Uint8Array }; // little-endian, as browsers are

/**
 * A copy of what the server has sent, its arrays decoded and each text passed through `read`.
 * @param {any} value
 * @param {(text: string) => string} read
 * @returns {any}
 */
export function decode(value, read = (text) => text) {
  if (typeof value === "string") return read(value);
  if (Array.isArray(value)) return value.map((item) => decode(item, read));
  if (value === null || typeof value !== "object") return value;
  if ("by" in value) return Float64Array.from({ length: value.rows }, (_, i) => value.from + value.by * i);
  const kind = Object.keys(ARRAYS).find((name) => name in value);
  if (kind) return unpack(ARRAYS[kind], value[kind], { ...value, bits: kind === "bits" });
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decode(item, read)]));
}

/** @type {(kind: typeof ARRAYS[string], text: string, code: { from?: number, rows?: number, columns?: number, bits?: boolean }) => any} */
function unpack(kind, text, { from, rows, columns, bits }) {
  let bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  if (bits) bytes = Uint8Array.from({ length: 8 * bytes.length }, (_, i) => (bytes[i >> 3] >> (7 - (i & 7))) & 1);
  const values = new kind(bytes.buffer);
  if (from !== undefined) return Float64Array.from(values, (offset) => from + offset);
  if (columns === undefined) return values;
  return Array.from({ length: rows ?? values.length / columns }, (_, i) => values.subarray(i * columns, (i + 1) * columns));
}
