package pages

import (
	"bytes"
	"embed"
	"html/template"
	"strconv"
	"unicode/utf8"
)

//go:embed badge.svg
var badgeFile embed.FS

// maxBadgeName bounds the name on a badge, in characters.
const maxBadgeName = 40

// badge is the data of a badge.
type badge struct {
	Title, Name, Text, Color       string
	Width, NameWidth, NameX, TextX int
}

var badgeTemplate = template.Must(template.ParseFS(badgeFile, "badge.svg"))

// Badge draws a node's score as an SVG image to embed elsewhere: it needs no style, script or font of a page.
func Badge(n *NodeScore) ([]byte, error) {
	b := badge{Name: cutName(visibleText(n.Name)), Text: "no data", Color: "#5b666b"}
	switch n.Level {
	case LevelGood:
		b.Text, b.Color = "good", "#1b6b3a"
	case LevelWarn:
		b.Text, b.Color = "warn", "#805000"
	case LevelBad:
		b.Text, b.Color = "bad", "#a5262d"
	}
	if least := min(n.Durability, n.Reachability); n.Level != LevelNoData && least >= 0 {
		b.Text += " " + strconv.FormatFloat(least, 'f', 1, 64)
	}
	const letter, margin = 7, 8 // about what letters of 12 px need
	b.NameWidth = letter*utf8.RuneCountInString(b.Name) + 2*margin
	b.Width = b.NameWidth + letter*len(b.Text) + 2*margin
	b.NameX, b.TextX = b.NameWidth/2, (b.NameWidth+b.Width)/2
	b.Title = b.Name + ": " + b.Text
	var out bytes.Buffer
	err := badgeTemplate.Execute(&out, b)
	return out.Bytes(), err
}

// cutName shortens a name.
func cutName(s string) string {
	runes := []rune(s)
	if len(runes) <= maxBadgeName {
		return s
	}
	return string(runes[:maxBadgeName-1]) + "…"
}
