# syntax=docker/dockerfile:1

# Two images: `docker build --target runtime` runs models, `--target workbench` makes them. See docs/docker.md.
ARG RUNTIME_BASE=python:3.12-slim-bookworm
ARG WORKBENCH_BASE=python:3.12-slim-bookworm

FROM python:3.12-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY runtime runtime
COPY train train
COPY export export
COPY calibration calibration
RUN python3 -m pip install --no-cache-dir --constraint constraints.txt hatchling \
    && python3 -m hatchling build --target wheel --directory /dist \
    && cp constraints.txt /dist/

# The venv sees the base's packages: a TensorRT base keeps its TensorRT. It is made without pip, for not every base has
# ensurepip; pip itself is the base's. No HEALTHCHECK: a run ends when it fails, and its exit code says why.
FROM ${RUNTIME_BASE} AS runtime
ARG EXTRAS=onnx
# The base's own constraints, if it has any, would forbid what emodict is pinned to.
ENV PIP_CONSTRAINT="" PATH="/opt/emodict/bin:${PATH}"
RUN --mount=type=bind,from=build,source=/dist,target=/dist \
    python3 -m venv --without-pip --system-site-packages /opt/emodict \
    && python3 -m pip --python /opt/emodict/bin/python install --no-cache-dir --constraint /dist/constraints.txt \
        "$(echo /dist/*.whl)[${EXTRAS}]" \
    && useradd --uid 10001 --create-home emodict \
    && chmod 1777 /home/emodict
ENV HOME=/home/emodict
USER 10001
WORKDIR /data
# Python as the first process obeys Ctrl-C, but not the signal that docker stop sends otherwise.
STOPSIGNAL SIGINT
ENTRYPOINT []
CMD ["emodict-run", "--check"]

FROM ${WORKBENCH_BASE} AS workbench
ARG EXTRAS=export,calibrate,study,importers,parquet,face,lsl,serve,dask,sign,tensorrt-rtx,notebook
ENV PATH="/opt/emodict/bin:${PATH}"
RUN --mount=type=bind,from=build,source=/dist,target=/dist \
    python3 -m venv /opt/emodict \
    && /opt/emodict/bin/python -m pip install --no-cache-dir --constraint /dist/constraints.txt \
        "$(echo /dist/*.whl)[${EXTRAS}]" \
    && useradd --uid 10001 --create-home emodict \
    && chmod 1777 /home/emodict
# One BLAS thread: every matrix product here is small, and two threads fight over the cores.
ENV HOME=/home/emodict OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
USER 10001
WORKDIR /data
STOPSIGNAL SIGINT
CMD ["bash"]
