package pages

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
)

// formView is the upload page.
type formView struct {
	Network *Network // nil if the network does not answer
	Max     uint64   // greatest file, in bytes
	// MaxQuilt bounds the files of a quilt together, in bytes.
	MaxQuilt   uint64
	Aggregator bool
	Epochs     uint32
	Problem    string
}

func (s *site) form(w http.ResponseWriter, r *http.Request) { s.showForm(w, r, http.StatusOK, "") }

func (s *site) showForm(w http.ResponseWriter, r *http.Request, status int, problem string) {
	v := formView{Max: uint64(s.cfg.MaxUpload), MaxQuilt: uint64(s.cfg.MaxQuilt), Aggregator: s.cfg.Aggregator,
		Epochs: max(1, s.cfg.Epochs), Problem: problem}
	v.Network, _ = s.data.Network(r.Context()) // an upload works without prices
	s.show(w, r, status, "upload", view{Title: "Upload", Here: "upload", Data: v})
}

// upload stores a form's file, for browsers without JavaScript.
func (s *site) upload(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, s.cfg.MaxUpload+formExtra)
	form, err := s.readForm(r)
	defer form.close()
	if err != nil {
		s.fail(w, r, formError(err, s.cfg.MaxUpload))
		return
	}
	u, err := form.upload()
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
	http.Redirect(w, r, "/explorer/blobs/"+done.ID.String(), http.StatusSeeOther) //nolint:gosec // a path of ours
}

// formError converts an error of reading a form: errors that this machine did not cause are blamed on the request.
func formError(err error, limit int64) error {
	var large *http.MaxBytesError
	var disk *fs.PathError
	switch {
	case errors.Is(err, errTooLarge), errors.As(err, &large):
		return fmt.Errorf("%w: at most %s", errTooLarge, bytesText(uint64(limit)))
	case errors.As(err, &disk):
		return fmt.Errorf("the gateway has no room for the file right now: %w", disk.Err)
	}
	return malformed{err}
}
