# The sidecar image, from source: `docker build -t sidesnap .` needs nothing but an engine.
# No BuildKit syntax: the classic builder of Docker 20.10 and compose v1 must read it.
FROM debian:bookworm-slim AS build
WORKDIR /src
# The libraries first: they change seldom and take the longest.
COPY scripts/setup scripts/deps scripts/deps-build scripts/deps.lock scripts/
RUN scripts/setup --build-only && scripts/deps musl
COPY . .
ARG VERSION=
RUN make -j2 ${VERSION:+VERSION="$VERSION"} && scripts/image-root build /image

FROM scratch
COPY --from=build /image/ /
ENV PATH=/usr/bin:/bin
WORKDIR /root
ARG VERSION=
LABEL org.opencontainers.image.title="sidesnap" \
	org.opencontainers.image.description="Snapshots of running containers, volumes and databases included, as ordinary images" \
	org.opencontainers.image.version="$VERSION"
ENTRYPOINT ["/usr/bin/sidesnap"]
CMD ["sidecar"]
