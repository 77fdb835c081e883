package pages

import (
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
)

// Bounds of a form, in bytes: of what of a file stays in memory, and of what is in it besides the file.
const (
	formMemory = 1 << 20
	formExtra  = 64 << 10
)

// formView is the page for uploads.
type formView struct {
	Network *Network // nil if the network cannot say
	Max     uint64
	Epochs  uint32
	Problem string
}

func (s *site) form(w http.ResponseWriter, r *http.Request) { s.showForm(w, r, http.StatusOK, "") }

func (s *site) showForm(w http.ResponseWriter, r *http.Request, status int, problem string) {
	v := formView{Max: uint64(s.cfg.MaxUpload), Epochs: max(1, s.cfg.Epochs), Problem: problem}
	v.Network, _ = s.data.Network(r.Context()) // prices are not needed to upload
	s.show(w, r, status, "upload", view{Title: "Upload", Here: "upload", Data: v})
}

// upload stores the file of a form, for browsers without JavaScript.
func (s *site) upload(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, s.cfg.MaxUpload+formExtra)
	err := r.ParseMultipartForm(formMemory)
	if r.MultipartForm != nil {
		defer func() { _ = r.MultipartForm.RemoveAll() }() // what stays is in the system's folder for such things
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		s.fail(w, r, err)
		return
	case err != nil:
		s.fail(w, r, malformed{fmt.Errorf("the form cannot be read: %w", err)})
		return
	}
	file, header, err := r.FormFile("file")
	if err != nil {
		s.showForm(w, r, http.StatusBadRequest, "Choose a file first.")
		return
	}
	defer func() { _ = file.Close() }() // it was only read
	u, err := s.readForm(r, file, header)
	if err != nil {
		s.showForm(w, r, http.StatusBadRequest, err.Error())
		return
	}
	done, err := s.data.Store(r.Context(), u)
	if err != nil {
		p := problemOf(err)
		p.Heading = "Not stored"
		s.refuse(w, r, p, "")
		return
	}
	http.Redirect(w, r, "/explorer/blobs/"+done.ID.String(), http.StatusSeeOther)
}

func (s *site) readForm(r *http.Request, file multipart.File, header *multipart.FileHeader) (Upload, error) {
	if header.Size > s.cfg.MaxUpload {
		return Upload{}, fmt.Errorf("The file has %s; this gateway takes %s at most.", bytesText(uint64(header.Size)), bytesText(uint64(s.cfg.MaxUpload)))
	}
	epochs, err := parseEpochs(strings.TrimSpace(r.FormValue("epochs")))
	if err != nil {
		return Upload{}, errors.New("Epochs must be a number from 1.")
	}
	return Upload{
		File: file, Size: uint64(header.Size), ContentType: header.Header.Get("Content-Type"), Epochs: epochs, Permanent: r.FormValue("permanent") == "true",
	}, nil
}
