# The live lab, and all commands, in a container:
#   docker build -t samedge .
#   docker run -p 127.0.0.1:8501:8501 -v samedge:/data samedge
#   docker run -v samedge:/data samedge run --preset sam-two-weights
FROM python:3.13-slim AS build
COPY . /source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source

FROM python:3.13-slim
# From PyTorch's index of builds without CUDA, which are gigabytes smaller. For a GPU, leave this out.
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch==2.13.0
COPY requirements.txt /
RUN pip install --no-cache-dir -r /requirements.txt
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-deps /wheels/*.whl

RUN useradd --create-home samedge && install --directory --owner samedge /data
USER samedge
ENV SAMEDGE_HOME=/data SAMEDGE_DATA=/data/downloads
VOLUME /data

EXPOSE 8501
HEALTHCHECK --start-period=30s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/_stcore/health', timeout=5)"]
# A container has a network of its own: `-p` above says who gets in.
ENTRYPOINT ["samedge"]
CMD ["--server.address", "0.0.0.0", "--server.port", "8501", "--server.headless", "true", "--browser.serverAddress", "localhost"]
