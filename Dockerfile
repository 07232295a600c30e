# syntax=docker/dockerfile:1
# Two images: `docker build -t newstide .` runs everything but training; `docker build --target trainer -t newstide-trainer .`
# also trains. To pin the base by digest: --build-arg PYTHON_IMAGE=python@sha256:...
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# File systems for `models.shelf`, pinned: --build-arg SHELF_PACKAGES="s3fs==2026.9.0"
ARG SHELF_PACKAGES=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN python -m venv /opt/venv
COPY requirements.lock ./
RUN /opt/venv/bin/pip install --only-binary :all: --require-hashes -r requirements.lock
RUN if [ -n "${SHELF_PACKAGES}" ]; then \
        sed '/--hash=/d; s/ \\$//' requirements.lock > /tmp/pins.txt \
        && /opt/venv/bin/pip install --only-binary :all: -c /tmp/pins.txt ${SHELF_PACKAGES}; \
    fi
COPY pyproject.toml README.md LICENSE ./
COPY core core
COPY ingest ingest
COPY stream stream
COPY alerting alerting
COPY trainer trainer
COPY desk desk
COPY newstide newstide
RUN /opt/venv/bin/pip install --no-deps . && /opt/venv/bin/pip check

FROM build AS build-trainer
# An index with builds of torch for the CPU alone makes an image of 1 GB instead of 4.
ARG TORCH_INDEX_URL=""
COPY requirements-dev.lock ./
RUN PIP_EXTRA_INDEX_URL=${TORCH_INDEX_URL} /opt/venv/bin/pip install -c requirements-dev.lock ".[trainer]"

FROM ${PYTHON_IMAGE} AS base
LABEL org.opencontainers.image.title="newstide" \
      org.opencontainers.image.description="Monitoring of financial news" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NEWSTIDE_EMBEDDED__DIRECTORY=/var/lib/newstide \
    NEWSTIDE_STREAM__BUNDLE=/opt/newstide/models
RUN install -d -o 10001 -g 10001 /var/lib/newstide
COPY models /opt/newstide/models
COPY deploy/healthcheck.py /opt/newstide/healthcheck.py
WORKDIR /opt/newstide
USER 10001:10001
HEALTHCHECK --interval=15s --timeout=6s --start-period=120s --retries=6 CMD ["python", "/opt/newstide/healthcheck.py"]
ENTRYPOINT ["newstide"]
CMD ["--help"]

FROM base AS trainer
COPY --from=build-trainer /opt/venv /opt/venv
HEALTHCHECK NONE

FROM base AS runtime
# Several processes share the cores: a library that starts a thread per core would slow them all down.
ENV OMP_NUM_THREADS=1
COPY --from=build /opt/venv /opt/venv
