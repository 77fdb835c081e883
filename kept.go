package walrus

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// contentMemory bounds the bytes of one source or file held in memory. Larger content goes to a temporary file.
const contentMemory = 1 << 20

// kept stores what is written to it, in memory or in a temporary file, for reading at any offset. The file has no name,
// so it is gone when the process ends in any way.
type kept struct {
	dir   string // folder of the file; "" is the system's
	size  int64
	small []byte
	file  *os.File
	named bool // the system cannot unlink an open file
}

// Write implements io.Writer.
func (k *kept) Write(p []byte) (n int, err error) {
	if k.file == nil && k.size+int64(len(p)) > contentMemory {
		if k.file, err = os.CreateTemp(k.dir, "walrus-*"); err != nil {
			return 0, err
		}
		k.named = os.Remove(k.file.Name()) != nil
		if _, err := k.file.Write(k.small); err != nil {
			return 0, err
		}
		k.small = nil
	}
	if k.file == nil {
		k.small, n = append(k.small, p...), len(p)
	} else {
		n, err = k.file.Write(p)
	}
	k.size += int64(n)
	return n, err
}

// reader returns a reader of everything written.
func (k *kept) reader() io.ReaderAt {
	if k.file == nil {
		return bytes.NewReader(k.small)
	}
	return k.file
}

// Close frees the content. k may be nil.
func (k *kept) Close() error {
	if k == nil || k.file == nil {
		return nil
	}
	err := k.file.Close()
	if k.named {
		err = errors.Join(err, os.Remove(k.file.Name()))
	}
	return err
}
