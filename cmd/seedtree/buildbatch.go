package main

import (
	"context"

	"seedtree/builder"
	"seedtree/gitsource"
)

// lazyBatch is a batch that begins with the first thing it is given: on most
// nights there is none, and nothing is to be written then.
type lazyBatch struct {
	src   *gitsource.Source
	batch *gitsource.Batch
}

func (l *lazyBatch) begin(ctx context.Context) (err error) {
	if l.batch == nil {
		l.batch, err = l.src.Batch(ctx)
	}
	return err
}

// store takes a .torrent as the builder makes it.
func (l *lazyBatch) store(ctx context.Context, data []byte) (builder.Ref, error) {
	if err := l.begin(ctx); err != nil {
		return builder.Ref{}, err
	}
	id, err := l.batch.Blob(data)
	return builder.Ref(id), err
}

func (l *lazyBatch) commit(ctx context.Context, head *gitsource.Revision, c gitsource.Commit) (*gitsource.Revision, error) {
	if err := l.begin(ctx); err != nil {
		return nil, err
	}
	return l.batch.Commit(ctx, head, c)
}

func (l *lazyBatch) Close() error {
	if l.batch == nil {
		return nil
	}
	return l.batch.Close()
}

// toCommit turns the builder's result into git's terms.
func toCommit(site string, res *builder.Result) *gitsource.Commit {
	return &gitsource.Commit{Message: buildMessage(site, res.Diff), Many: built{&res.Put}, Delete: res.Delete}
}

// built is what the builder puts, as git has it.
type built struct{ *builder.Blobs }

func (b built) At(i int) gitsource.File {
	blob := b.Blobs.At(i)
	mode := gitsource.Regular
	switch blob.Mode {
	case builder.Executable:
		mode = gitsource.Executable
	case builder.SymbolicLink:
		mode = gitsource.Symlink
	}
	return gitsource.File{Name: blob.Name, Data: blob.Data, Blob: gitsource.BlobID(blob.Ref), Mode: mode}
}
