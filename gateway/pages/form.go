package pages

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strings"

	"walrus/client"
)

// Bounds of a form: bytes besides the file, bytes of one field, and number of parts.
const (
	formExtra = 64 << 10
	formField = 1 << 10
	formParts = 16
)

// form is an upload form that was read. Its file has no name on disk, so it is gone when the process ends in any way.
type form struct {
	file   *os.File // nil: none was chosen
	size   uint64
	kind   string // content type reported by the browser
	fields map[string]string
}

func (f *form) close() {
	if f.file != nil {
		_ = f.file.Close() // the file was only read
	}
}

// errTooLarge is returned for a file above the limit. The text is for people.
var errTooLarge = errors.New("the file is larger than this gateway accepts")

// readForm reads a form. The caller must close the form, after an error too.
func (s *site) readForm(r *http.Request) (f *form, err error) {
	f = &form{fields: map[string]string{}}
	parts, err := r.MultipartReader()
	if err != nil {
		return f, fmt.Errorf("the form cannot be read: %w", err)
	}
	for range formParts {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err == nil {
			err = s.readPart(f, part)
		}
		if err != nil {
			return f, err
		}
	}
	return f, errors.New("the form has too many parts")
}

func (s *site) readPart(f *form, part *multipart.Part) error {
	// Browsers send an empty name if no file was chosen.
	if part.FormName() != "file" || part.FileName() == "" || f.file != nil {
		b, err := io.ReadAll(io.LimitReader(part, formField))
		f.fields[part.FormName()] = string(b)
		return err
	}
	file, err := client.CreateTemp(s.cfg.TempDir, "walrus-form-*")
	if err != nil {
		return fmt.Errorf("receive the file: %w", err)
	}
	f.file, f.kind = file, part.Header.Get("Content-Type")
	if err := os.Remove(file.Name()); err != nil {
		return fmt.Errorf("receive the file: %w", err)
	}
	n, err := io.Copy(file, io.LimitReader(part, s.cfg.MaxUpload+1))
	if f.size = uint64(n); err == nil && n > s.cfg.MaxUpload {
		err = errTooLarge
	}
	return err
}

// upload returns the upload that the form asks for. Errors are sentences for people.
func (f *form) upload() (Upload, error) {
	epochs, err := parseEpochs(strings.TrimSpace(f.fields["epochs"]))
	switch {
	case f.file == nil:
		return Upload{}, errors.New("Choose a file first.") //nolint:staticcheck // a sentence for a page
	case err != nil:
		return Upload{}, errors.New("Epochs must be a number from 1.") //nolint:staticcheck // a sentence for a page
	}
	return Upload{File: f.file, Size: f.size, ContentType: f.kind, Epochs: epochs,
		Permanent: f.fields["permanent"] == "true"}, nil
}
