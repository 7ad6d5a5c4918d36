# syntax=docker/dockerfile:1

# Compiles Leveret. Neither the compiler nor the sources come into the image that runs.
FROM python:3.13-slim AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY pyproject.toml setup.py README.md LICENSE ./
COPY src ./src
# LEVERET_COMPILE=1: an image that would run interpreted is not built at all.
RUN python -m venv /opt/leveret \
    && LEVERET_COMPILE=1 /opt/leveret/bin/pip install --no-cache-dir . \
    && for name in rabbitmqctl rabbitmq-diagnostics rabbitmq-plugins rabbitmq-queues rabbitmq-upgrade; do \
        ln -s leveretctl "/opt/leveret/bin/$name"; \
    done

FROM python:3.13-slim
RUN groupadd --system --gid 10001 leveret \
    && useradd --system --uid 10001 --gid leveret --no-create-home --home-dir /var/lib/leveret leveret \
    && install --directory --owner leveret --group leveret --mode 0700 /var/lib/leveret
COPY --from=build /opt/leveret /opt/leveret
ENV PATH=/opt/leveret/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    LEVERET_DATA_DIR=/var/lib/leveret
USER leveret
WORKDIR /var/lib/leveret
VOLUME /var/lib/leveret
EXPOSE 5672 5671 15672 15671 15692
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["leveretctl", "--quiet", "status"]
ENTRYPOINT ["leveret"]
CMD ["serve", "--bind", "0.0.0.0"]
