package userfile

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// bom is what some editors write before UTF-8 text. Nobody sees it.
var bom = []byte("\xef\xbb\xbf")

// CutBOM takes away the mark that some editors put before UTF-8 text.
func CutBOM(text []byte) (rest []byte, had bool) { return bytes.CutPrefix(text, bom) }

// CheckText refuses what is no UTF-8 text, above all UTF-16, which looks the same in an editor. Errors repeat nothing of it.
func CheckText(text []byte) error {
	switch {
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}), bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		return errors.New("it is UTF-16 text: save it as UTF-8 (in PowerShell: Set-Content -Encoding utf8)")
	case bytes.IndexByte(text, 0) >= 0:
		return errors.New("it holds NUL bytes, as UTF-16 text does: save it as UTF-8")
	case !utf8.Valid(text):
		return errors.New("it is not UTF-8 text: save it as UTF-8")
	}
	return nil
}

// MarkedText names the mark, or the other encoding, for which the reader of a text of plain ASCII lines stumbled over it.
// It is nil if there is none.
func MarkedText(text []byte) error {
	if _, had := CutBOM(text); had {
		return errors.New("it begins with a byte order mark (BOM), which cannot be seen: save it as UTF-8 without BOM")
	}
	return CheckText(text)
}
