package pages

import (
	"strings"
	"time"
)

// table is the one form of lists. On a narrow screen each row becomes a card, with the columns' names beside the values.
type table struct {
	Name string // for those who do not see it
	ID   string
	Cols []col
	Rows [][]cell // the first cell of a row is its heading
}

// col is a column. Numbers stand at the right.
type col struct {
	Name string
	Num  bool
}

// cell is a value. Of Text and Time one is set.
type cell struct {
	Text  string
	Time  time.Time
	Link  string
	Code  bool   // an identifier: shown short, whole when pointed at
	State string // good, warn or bad, with its mark
	Note  string // small, below
	Wide  bool   // may wrap
	Save  string // the link downloads under this name
}

// Short is what is shown.
func (c cell) Short() string {
	if c.Code {
		return shortText(c.Text)
	}
	return c.Text
}

// Mark is the sign of a state: what it looks like does not rest on color alone.
func (c cell) Mark() string {
	return map[string]string{"good": "✓", "warn": "!", "bad": "✕"}[c.State]
}

// cols makes columns of names; those of numbers end with #.
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

// ident is an identifier that leads to its page; nothing for an empty one.
func ident(s, folder string) cell {
	if s == "" {
		return text("–")
	}
	return cell{Text: s, Link: "/explorer/" + folder + "/" + s, Code: true}
}
