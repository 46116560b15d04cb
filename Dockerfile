# syntax=docker/dockerfile:1
# Two images: `docker build -t showattend .` (CPU) and `docker build --target cuda -t showattend:cuda .`; docs/docker.md shows their use.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY pyproject.toml MANIFEST.in README.md CHANGELOG.md LICENSE constraints.txt ./
COPY showattend showattend
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM python:${PYTHON}-slim AS base
# A home that any user may write to, for weights and caches: `docker run --user` may name one that the image does not know.
ENV HOME=/home/showattend USER=showattend PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN useradd --create-home --uid 1000 showattend && chmod 777 /home/showattend
COPY constraints.txt /opt/
WORKDIR /work
ENTRYPOINT ["showattend"]
CMD ["--help"]

FROM base AS cuda
ARG EXTRAS=app,arrow,bpe,heic,hub,onnx,ray,timm
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
# Triton builds the launchers of its kernels with a C compiler when they first run.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
# The wheels of the package index bring CUDA with them; this layer stays when the code changes.
RUN pip install --constraint /opt/constraints.txt torch torchvision
RUN --mount=type=bind,from=wheel,source=/dist,target=/dist \
    pip install --constraint /opt/constraints.txt "$(ls /dist/showattend-*.whl)[${EXTRAS}]" && pip check
USER 1000

FROM base AS cpu
ARG EXTRAS=app,arrow,bpe,heic,hub,onnx,ray,timm
# Without their dependencies, of which that index has other versions.
RUN pip install --no-deps --index-url https://download.pytorch.org/whl/cpu --constraint /opt/constraints.txt torch torchvision
RUN --mount=type=bind,from=wheel,source=/dist,target=/dist \
    pip install --constraint /opt/constraints.txt "$(ls /dist/showattend-*.whl)[${EXTRAS}]" && pip check
USER 1000
