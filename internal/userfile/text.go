package userfile

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// bom is the byte order mark that some editors write before UTF-8 text. It is invisible.
var bom = []byte("\xef\xbb\xbf")

// CutBOM removes the byte order mark that some editors put before UTF-8 text.
func CutBOM(text []byte) (rest []byte, had bool) { return bytes.CutPrefix(text, bom) }

// CheckText refuses text that is not UTF-8, above all UTF-16, which looks the same in an editor. Errors do not quote
// it.
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

// MarkedText explains why a parser of plain ASCII lines failed on text: it has a byte order mark or another encoding.
// Nil if neither is the case.
func MarkedText(text []byte) error {
	if _, had := CutBOM(text); had {
		return errors.New("it begins with a byte order mark (BOM), which editors do not show: save it as UTF-8 without BOM")
	}
	return CheckText(text)
}
