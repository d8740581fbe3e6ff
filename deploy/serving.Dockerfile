# What replicas run in, and one version of a model as an image. Two stages can be built, with the top of this repository
# as the context:
#
#   docker build -f deploy/serving.Dockerfile --target runtime -t modelog-serving .
#       everything but the model. The driver `docker` puts each version on top of it by itself (MODELOG_DOCKER_IMAGES).
#   docker build -f deploy/serving.Dockerfile --build-arg RUNTIME=modelog-serving --build-arg MODEL=model.onnx \
#       --build-arg SHA256=$(sha256sum model.onnx | cut -d' ' -f1) --build-arg NAME=fraud --build-arg VERSION=3 -t fraud:3 .
#       the same files that the driver makes, by hand: the model is refused when it does not have the digest.
#
# Packages come from wherever pip is told to look and must have the hashes of requirements.lock. BASE may be any image with
# python3 (3.11 or newer) and its venv.
ARG BASE=python:3.11-slim
ARG RUNTIME=runtime

# pip stays in an environment of its own and out of the image.
FROM ${BASE} AS packages
ARG PIP_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_NO_INDEX
ARG PIP_TRUSTED_HOST
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3 -m venv /pip && python3 -m venv --without-pip /packages
WORKDIR /build
COPY pyproject.toml requirements.lock ./
COPY deploy/pick.py deploy/
RUN /pip/bin/python deploy/pick.py server inference >picked.lock \
 && /pip/bin/pip --python /packages/bin/python install --no-deps --require-hashes -r picked.lock

FROM ${BASE} AS runtime
RUN useradd --uid 10001 --user-group --no-create-home --home-dir / --shell /usr/sbin/nologin modelog
COPY --from=packages /packages /packages
WORKDIR /app
COPY libs/kernel libs/kernel
COPY libs/modelog libs/modelog
COPY services/deployment services/deployment
ENV PATH=/packages/bin:$PATH \
    PYTHONPATH=/app:/app/libs \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
RUN python -m compileall -q libs services
USER modelog
EXPOSE 8080 8081
# What Python is started for; the order is the argument.
ENTRYPOINT ["python", "-m", "services.deployment.inference"]

FROM ${RUNTIME} AS version
ARG MODEL
ARG SHA256
ARG NAME
ARG VERSION
COPY --chown=0:0 ${MODEL} /model/artifact
RUN echo "${SHA256}  /model/artifact" | sha256sum --check --quiet
LABEL org.opencontainers.image.title=${NAME} \
      org.opencontainers.image.version=${VERSION} \
      modelog.digest=${SHA256}
