package walrus

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// contentMemory is how many bytes of one source or file are held in memory. What is larger goes to a temporary file.
const contentMemory = 1 << 20

// kept is what was written to it, to be read at any place: in memory, or in a temporary file without a name, which ends
// with the process however that ends.
type kept struct {
	dir   string // for the file; "" is the system's
	size  int64
	small []byte
	file  *os.File
	named bool // the system does not take the name of an open file away
}

// Write is that of io.Writer.
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

// reader reads all that was written.
func (k *kept) reader() io.ReaderAt {
	if k.file == nil {
		return bytes.NewReader(k.small)
	}
	return k.file
}

// Close forgets the content. k may be nil.
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
