package gitsource

import (
	"errors"
	"net/url"
)

func newSSH(u *url.URL, cfg Config) (remote, error)  { return nil, errors.New("not yet") }
func newHTTP(u *url.URL, cfg Config) (remote, error) { return nil, errors.New("not yet") }
