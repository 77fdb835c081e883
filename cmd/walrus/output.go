package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// printJSON writes v as indented JSON on stdout.
func (a *terminal) printJSON(v any) error {
	enc := json.NewEncoder(&asciiControls{a.stdout})
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// result prints v as JSON with --json, and else the text.
func (a *terminal) result(v any, format string, args ...any) error {
	if a.global.json {
		return a.printJSON(v)
	}
	_, err := fmt.Fprintf(a.stdout, format, args...)
	return err
}

// resultTable prints v as JSON with --json, and else the rows.
func (a *terminal) resultTable(v any, rows [][]string) error {
	if a.global.json {
		return a.printJSON(v)
	}
	return table(a.stdout, "", rows)
}

// ready is result with JSON on one line, for programs that wait for a service and read line by line.
func (a *terminal) ready(v any, format string, args ...any) error {
	if !a.global.json {
		return a.result(v, format, args...)
	}
	enc := json.NewEncoder(&asciiControls{a.stdout})
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// table prints rows of cells in columns. The first row is the heading. Invisible characters in cells are escaped.
func table(w io.Writer, indent string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		row = slices.Clone(row)
		for i := range row {
			row[i] = visible(row[i])
		}
		// An empty last cell would leave trailing spaces.
		if _, err := fmt.Fprintln(tw, strings.TrimRight(indent+strings.Join(row, "\t"), "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// byteSize formats n for people, such as 1.50 MiB.
func byteSize[T int64 | uint64](n T) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
		if v /= 1 << 10; v < 1<<10 {
			break
		}
	}
	return fmt.Sprintf("%.2f %s", v, unit)
}

// plural formats a count for people: "1 file", "2 files".
func plural[T int | int64 | uint16 | uint32 | uint64](n T, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// maxRanges bounds the ranges of shards in a cell.
const maxRanges = 6

// shardList formats ascending shards for people: "5: 0-3,8". Of many ranges it shows only the first.
func shardList(list []int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d: ", len(list))
	for i, count := 0, 0; i < len(list); count++ {
		if count == maxRanges {
			b.WriteString(",…")
			break
		}
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(list[i]))
		if j > i {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(list[j]))
		}
		i = j + 1
	}
	return strings.TrimSuffix(b.String(), ": ")
}

// endEpoch says until when something is kept, for people.
func endEpoch(epoch uint32) string {
	return fmt.Sprintf("the start of epoch %d", epoch)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// seconds formats d for people, with useful precision.
func seconds(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
