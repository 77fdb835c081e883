package main

import "testing"

// What nobody has tried yet is not told to people as a verdict.
func TestOnline(t *testing.T) {
	for verdict, want := range map[string]string{
		"unknown":                                "others have not tried yet to reach this computer",
		"relayed only, tcp unknown":              "relayed only",
		"punchable, tcp punchable, quic unknown": "punchable, tcp punchable",
		"mapped, tcp mapped, quic blocked":       "mapped, tcp mapped, quic blocked",
		"unknown, tcp unknown, quic unknown":     "others have not tried yet to reach this computer",
	} {
		if got := online(verdict); got != want {
			t.Errorf("online(%q) = %q, want %q", verdict, got, want)
		}
	}
}
