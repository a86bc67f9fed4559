//go:build !unix

package builder

import "errors"

func mkfifo(string) error { return errors.ErrUnsupported }

func seteuid(int) error { return errors.ErrUnsupported }
