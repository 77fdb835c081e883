package gather

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"walrus/certs"
	"walrus/shards"
)

// ErrTooLarge is returned for symbols that do not fit in one response, whoever is asked.
var ErrTooLarge = errors.New("symbols do not fit in one response")

// Failure says why one holder did not deliver.
type Failure struct {
	Holder int // committee index
	Err    error
}

// Lied reports whether the holder sent provably wrong bytes.
func (f Failure) Lied() bool { return Judge(f.Err) == Lied }

// Error says that too few slivers gave their symbols, and for each holder why.
type Error struct {
	Have, Need int // crossing slivers
	Targets    int // slivers that were to be rebuilt
	Axis       shards.Axis
	Committee  *certs.Committee
	Failures   []Failure
}

// Error lists the failures by name on one line.
func (e *Error) Error() string {
	var why []string
	for _, f := range e.Failures {
		why = append(why, e.Committee.Members()[f.Holder].Name+": "+strings.Join(strings.Fields(f.Err.Error()), " "))
	}
	slices.Sort(why)
	return fmt.Sprintf("have %d of %d symbols for each of %d %s slivers: %s", e.Have, e.Need, e.Targets, e.Axis,
		strings.Join(why, "; "))
}
