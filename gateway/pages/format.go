package pages

import (
	"embed"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
	"unicode"
)

//go:embed templates
var templateFiles embed.FS

// parsePages parses the templates, each page with the layout.
func parsePages(a assets) (map[string]*template.Template, error) {
	funcs := template.FuncMap{
		"asset": a.url, "bytes": bytesText, "since": sinceText, "time": timeText, "visible": visibleText,
		"iso":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"number": numberText, "percent": percentText, "shards": rangesText, "short": shortText, "mark": markOf,
		"plural": plural, "noun": noun,
		"until": func(t time.Time) string { return sinceText(time.Until(t)) }, "incident": incidentOf,
		"attributes": attributesTable, "score": scoreText, "trip": roundTrip, "share": shareOf,
	}
	pages := map[string]*template.Template{}
	for _, name := range []string{"network", "node", "blob", "upload", "error", "search", "list", "block", "transaction",
		"owner", "record", "pins", "monitors", "monitornode", "seen", "risk", "frame"} {
		t, err := template.New(name).Funcs(funcs).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html",
			"templates/"+name+".html")
		if err != nil {
			return nil, err
		}
		pages[name] = t
	}
	return pages, nil
}

// bytesText formats a size for people: "1.5 MiB".
func bytesText(n uint64) string {
	if n < 1024 {
		return plural(n, "byte")
	}
	v, unit := float64(n), -1
	for v >= 1023.95 && unit < 5 {
		v, unit = v/1024, unit+1
	}
	return strconv.FormatFloat(v, 'f', digits(v), 64) + " " + "KMGTPE"[unit:unit+1] + "iB"
}

// visibleText escapes the invisible characters in other people's texts, like \u202e: marks that turn the direction of
// writing make one name look like another. Spaces, and joiners of letters in many scripts and in emoji, stay.
func visibleText(s string) string {
	const joiner, nonJoiner = 0x200d, 0x200c
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsPrint(r), unicode.Is(unicode.Zs, r), r == joiner, r == nonJoiner:
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// digits returns the decimals needed for three significant digits.
func digits(v float64) int {
	switch {
	case v < 9.995:
		return 2
	case v < 99.95:
		return 1
	}
	return 0
}

// numberText groups digits with non-breaking thin spaces.
func numberText(v any) string {
	s := fmt.Sprint(v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

func percentText(part, whole uint64) string {
	if whole == 0 {
		return "0 %"
	}
	v := 100 * float64(part) / float64(whole)
	if v > 0 && v < 0.01 {
		return "< 0.01 %"
	}
	return strconv.FormatFloat(v, 'f', 2, 64) + " %"
}

// sinceText formats a duration in its two greatest units, "3 d 4 h", or in one if the rest is zero: "1 d". A duration
// that is over gives "0 s".
func sinceText(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	units := []struct {
		length int64
		name   string
	}{{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}}
	for i, u := range units {
		if s < u.length {
			continue
		}
		text := fmt.Sprintf("%d %s", s/u.length, u.name)
		if i+1 < len(units) {
			if rest := s % u.length / units[i+1].length; rest > 0 {
				text += fmt.Sprintf(" %d %s", rest, units[i+1].name)
			}
		}
		return text
	}
	return "0 s"
}

// timeText formats a time for people, in UTC.
func timeText(t time.Time) string {
	if t.IsZero() {
		return "at an unknown time"
	}
	return t.UTC().Format("2 Jan 2006, 15:04:05") + " UTC"
}

// incident is a node's incident with its time parsed; a zero Time if its text begins with none.
type incident struct {
	Time time.Time
	Text string
}

func incidentOf(s string) incident {
	first, rest, _ := strings.Cut(s, " ")
	if t, err := time.Parse(time.RFC3339, first); err == nil {
		return incident{t, rest}
	}
	return incident{Text: s}
}

// rangesText formats ascending numbers briefly: "0–3, 7".
func rangesText(list []int) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, strconv.Itoa(list[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d–%d", list[i], list[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

// shortText returns the beginning and the end of an identifier.
func shortText(s string) string {
	if len(s) <= 20 {
		return s
	}
	return s[:8] + "…" + s[len(s)-8:]
}

// markOf returns the sign of a state, so that color is not the only cue.
func markOf(s State) string {
	switch s {
	case SliverStored:
		return "✓"
	case Repairing:
		return "↻"
	case Missing:
		return "–"
	case Corrupt:
		return "!"
	}
	return "?"
}

// plural formats a count: "1 file", "2 files".
func plural(n any, word string) string { return numberText(n) + " " + noun(n, word) }

// noun returns word for a count that is shown apart from it.
func noun(n any, word string) string {
	if fmt.Sprint(n) == "1" {
		return word
	}
	return word + "s"
}
