package pages

import (
	"strings"
	"time"
)

// table is the form of all lists. On a narrow screen each row becomes a card with the column names beside the values.
type table struct {
	Name string // for readers who cannot see it
	ID   string
	Cols []col
	Rows [][]cell // the first cell of a row is its heading
}

// col is a column. Numbers are right-aligned.
type col struct {
	Name string
	Num  bool
}

// cell is a value: either Text or Time is set.
type cell struct {
	Text  string
	Time  time.Time
	Link  string
	Code  bool   // an identifier: shown short, in full when pointed at
	State string // good, warn or bad, shown with a mark
	Note  string // small text below the value
	Wide  bool   // may wrap
	Save  string // file name for a download link
	Strip *strip // instead of everything else
}

// Short returns the displayed text.
func (c cell) Short() string {
	if c.Code {
		return shortText(c.Text)
	}
	return c.Text
}

// Mark returns the sign of the state, so that color is not the only cue.
func (c cell) Mark() string {
	return map[string]string{"good": "✓", "warn": "!", "bad": "✕"}[c.State]
}

// cols makes columns from names; names of number columns end with #.
func cols(names ...string) []col {
	list := make([]col, len(names))
	for i, name := range names {
		name, num := strings.CutSuffix(name, "#")
		list[i] = col{name, num}
	}
	return list
}

func text(s string) cell         { return cell{Text: s} }
func number(v any) cell          { return cell{Text: numberText(v)} }
func link(s, target string) cell { return cell{Text: s, Link: target} }
func when(t time.Time) cell      { return cell{Time: t} }

// ident makes a cell with an identifier that links to its page; an empty cell for an empty one.
func ident(s, folder string) cell {
	if s == "" {
		return text("–")
	}
	return cell{Text: s, Link: "/explorer/" + folder + "/" + s, Code: true}
}
