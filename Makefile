# seedtree. `make` builds, `make demo` shows it, `make test` proves it.

GO      ?= go
BIN     := bin
IMAGE   ?= seedtree
# Static binaries; with cgo a second SQLite would be linked for nothing.
STATIC  := CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w"
# The race detector needs cgo, and these leave out what only cgo would build.
RACE    := -race -tags nosqlite,disable_libutp
TIMEOUT ?= 20m

.PHONY: build test test-tools race demo e2e bench lint image docker-engine clean

build:
	$(STATIC) -o $(BIN)/ ./cmd/...

# The real programs the tests talk to: git, sshd, two versions of Transmission.
test-tools:
	.ci/install-test-tools

test: test-tools
	$(GO) test $(RACE) -timeout $(TIMEOUT) ./...

# The same without installing anything; PKG= narrows it.
PKG ?= ./...
race:
	$(GO) test $(RACE) -timeout $(TIMEOUT) $(PKG)

# A whole fleet on this machine. ARGS="--data DIR --sites 4" for your own files.
demo: build
	$(BIN)/seedtree demo $(ARGS)

# The image and a fleet of containers made from it. No registry is asked.
e2e: image
	SEEDTREE_TEST_IMAGE=$(IMAGE) $(GO) test -tags docker -timeout $(TIMEOUT) -count=1 -v ./internal/e2e/containers

# The micro-benchmarks, then seedtree against its peers: docs/benchmarks.md.
# A peer that cannot be had is a row that says so. ARGS="--quick" for small corpora.
bench:
	-.ci/fetch-mkbrr
	$(GO) test -run '^$$' -bench . -benchmem -benchtime 200ms -timeout $(TIMEOUT) $(PKG)
	$(GO) run ./internal/bench $(ARGS)

lint:
	@files=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$files" || { echo "gofmt -w $$files"; exit 1; }
	@files=$$($(GO) tool gofumpt -l $$(git ls-files '*.go')); test -z "$$files" || { echo "go tool gofumpt -w $$files"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags docker ./internal/e2e/...
	for os in darwin windows; do GOOS=$$os $(GO) vet ./... || exit 1; done
	$(GO) tool staticcheck ./...
	$(GO) tool staticcheck -tags docker ./internal/e2e/...
	$(GO) mod tidy -diff

# A context of nothing but the binary: neither .git nor anybody's data is sent.
image: docker-engine build
	rm -rf $(BIN)/image && mkdir -p $(BIN)/image
	cp Dockerfile $(BIN)/seedtree $(BIN)/image/
	install -d -m 755 $(addprefix $(BIN)/image/mountpoints/,etc srv var var/lib)
	install -d -m 1777 $(addprefix $(BIN)/image/mountpoints/,etc/seedtree srv/catalog var/lib/seedtree)
	docker build -t $(IMAGE) $(BIN)/image

docker-engine:
	@docker version >/dev/null 2>&1 || { echo "no Docker engine answers; on Debian, as root: apt-get install docker.io" >&2; exit 1; }

clean:
	rm -rf $(BIN)
