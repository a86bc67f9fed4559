# seedtree. `make` builds, `make demo` shows it, `make test` proves it.

GO      ?= go
BIN     := bin
IMAGE   ?= seedtree
# Static binaries; with cgo a second SQLite would be linked for nothing.
STATIC  := CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w"
# The race detector needs cgo, and these leave out what only cgo would build.
RACE    := -race -tags nosqlite,disable_libutp
TIMEOUT ?= 20m

.PHONY: build test test-tools race demo e2e bench lint image clean

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

# The full story with real Transmissions in containers of their own addresses.
e2e: test-tools
	$(GO) test -tags e2e -timeout $(TIMEOUT) -count=1 -v -run TestE2E ./internal/e2e/...

bench:
	$(GO) test -run '^$$' -bench . -benchmem $(PKG)

lint:
	@files=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$files" || { echo "gofmt -w $$files"; exit 1; }
	@files=$$($(GO) tool gofumpt -l $$(git ls-files '*.go')); test -z "$$files" || { echo "go tool gofumpt -w $$files"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff

# A context of nothing but the binary: neither .git nor anybody's data is sent.
image: build
	rm -rf $(BIN)/image && mkdir -p $(BIN)/image
	cp Dockerfile $(BIN)/seedtree $(BIN)/image/
	docker build -t $(IMAGE) $(BIN)/image

clean:
	rm -rf $(BIN)
