package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Other people choose names: of files, identifiers, attributes, nodes. Characters that a terminal would obey or show as
// something else are escaped where a name is printed: line ends, escapes, marks that turn the direction of writing.

// visible escapes invisible characters, as \n, \x1b or \u202e, and bytes that are no text.
func visible(s string) string {
	if strings.IndexFunc(s, hidden) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !hidden(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += n
	}
	return b.String()
}

// hidden reports whether r is escaped. Spaces, and joiners of letters in many scripts and in emoji, are not.
func hidden(r rune) bool {
	const joiner, nonJoiner = 0x200d, 0x200c
	return !unicode.IsPrint(r) && !unicode.Is(unicode.Zs, r) && r != joiner && r != nonJoiner
}

// asciiControls writes JSON with all control characters beyond ASCII as \u…. JSON allows them unescaped; programs read
// the same either way.
type asciiControls struct{ w io.Writer }

func (a *asciiControls) Write(p []byte) (int, error) {
	text := string(p)
	if strings.IndexFunc(text, beyond) < 0 {
		return a.w.Write(p)
	}
	var b strings.Builder
	for _, r := range text {
		if !beyond(r) {
			b.WriteRune(r)
			continue
		}
		if r > 0xffff {
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x`, 0xd800+r>>10)
			r = 0xdc00 + r&0x3ff
		}
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	if _, err := io.WriteString(a.w, b.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

func beyond(r rune) bool { return r >= 0x7f && hidden(r) }
