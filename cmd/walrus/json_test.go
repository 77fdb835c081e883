package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func requestArgs(t *testing.T, request string) (string, error) {
	t.Helper()
	argv, err := parseRequest(newRoot(&app{terminal: terminal{stdout: &output{w: &bytes.Buffer{}}}, env: noEnv}),
		[]byte(request))
	return strings.Join(argv, " "), err
}

func TestRequests(t *testing.T) {
	const id = "RcU82Mwf-CFkv1LaI_2qcpANwpGUuG3TMwnVzZxD2kY"
	for _, tt := range []struct{ request, want string }{
		{`{"command":{"store":{"files":["a","b c"],"epochs":5,"permanent":true}}}`,
			"--json store --epochs=5 --permanent=true -- a b c"},
		{`{"config":"c","wallet":"w","context":null,"gasBudget":500000000,"command":{"store":{"files":["a"],"epochs":"max","dryRun":false,
		  "ignoreResources":false,"encodingType":"RS2","endEpoch":null}}}`, "--config=c --wallet=w --json store --dry-run=false --epochs=max -- a"},
		{`{"timeout":"5s","logLevel":"warn","command":{"read":{"blobId":"` + id +
			`","out":"x","strictConsistencyCheck":true}}}`,
			"--log-level=warn --timeout=5s --json read --out=x --consistency=strict -- " + id},
		{`{"command":{"blobStatus":{"blobId":"` + id + `","timeout":"9s","file":null}}}`,
			"--json blob-status --timeout=9s -- " + id},
		{`{"command":{"blobId":{"file":"x","nShards":100}}}`, "--json blob-id --shards=100 -- x"},
		{`{"command":{"storeQuilt":{"paths":["a","b"]}}}`, "--json store-quilt --paths=a --paths=b --"},
		{`{"command":{"writeQuilt":{"blobs":[{"path":"a","tags":{"k":"v"}}]}}}`,
			`--json store-quilt --blobs={"path":"a","tags":{"k":"v"}} --`},
		{`{"command":{"readQuilt":{"quiltId":"Q","identifiers":["a","-b"],"out":"d"}}}`,
			"--json read-quilt --identifiers=a --identifiers=-b --out=d --quilt-id=Q --"},
		{`{"command":{"readQuilt":{"quiltId":"Q","tag":["k","v"]}}}`, "--json read-quilt --quilt-id=Q --tag=k -- v"},
		{`{"command":{"readQuilt":{"quiltId":"Q","tag":"k=v"}}}`, "--json read-quilt --quilt-id=Q --tag=k=v --"},
		{`{"command":{"extend":{"blobObjId":"0x1","epochsExtended":3,"shared":true}}}`, "--json extend --epochs=3 -- 0x1"},
		{`{"command":{"delete":{"objectIds":["0x1"],"yes":true}}}`, "--json delete --yes=true -- 0x1"},
		{`{"command":{"share":{"blobObjId":"0x1","amount":1500}}}`, "--json share --amount=1500FROST -- 0x1"},
		{`{"command":{"share":{"blob":"0x1","amount":"1.5"}}}`, "--json share --amount=1.5 -- 0x1"},
		{`{"command":{"fundSharedBlob":{"sharedBlobObjId":"0x1","amount":1000}}}`, "--json fund -- 0x1 1000FROST"},
		{`{"command":{"setBlobAttribute":{"blobObjId":"0x1","attributes":{"b":"2","a":"1"}}}}`,
			"--json attributes set -- 0x1 a=1 b=2"},
		{`{"command":{"removeBlobAttributeFields":{"blobObjId":"0x1","keys":["a"]}}}`, "--json attributes remove -- 0x1 a"},
		{`{"command":{"walletSend":{"address":"0x2","amount":7}}}`, "--json wallet send -- 0x2 7FROST"},
		{`{"command":{"info":{"command":null}}}`, "--json info"},
		{`{"command":{"info":null}}`, "--json info"},
		{`{"command":{"daemon":{"host":["a","b,c"],"apiKey":{"n":"k=,"}}}}`,
			`--json daemon --api-key="n=k=," --host=a --host="b,c"`},
	} {
		if got, err := requestArgs(t, tt.request); err != nil || got != tt.want {
			t.Errorf("%s:\n got %s, %v\nwant %s", tt.request, got, err, tt.want)
		}
	}
}

func TestWrongRequests(t *testing.T) {
	for request, want := range map[string]string{
		"":                                     "want an object",
		"[]":                                   "want an object",
		`{"command":{"info":{}}} {}`:           "more after the object",
		`{}`:                                   `"command" must be`,
		`{"command":"info"}`:                   `"command" must be`,
		`{"command":{"info":{},"health":{}}}`:  "one command",
		`{"command":{"stor":{}}}`:              `unknown command "stor": did you mean "store"? known are aggregator, attributesRemove,`,
		`{"command":{"json":{}}}`:              "unknown command",
		`{"command":{"store":[]}}`:             `the fields of "store" must be an object`,
		`{"command":{"store":{"file":["a"]}}}`: `store: unknown field "file": did you mean "files"? known are attribute, deletable, dryRun,`,
		`{"colour":1,"command":{"info":{}}}`:   `unknown field "colour": known are config, logFormat, logLevel, timeout, trust, wallet`,
		`{"context":"testnet","command":{"info":{}}}`:       `field "context" of the original has no counterpart here`,
		`{"command":{"store":{"ignoreResources":true}}}`:    `field "ignoreResources" of the original has no counterpart`,
		`{"command":{"store":{"files":"a","force":"yes"}}}`: `field "force": want true or false`,
		`{"command":{"store":{"files":[1]}}}`:               `field "files": want a list of strings`,
		`{"command":{"store":{"epochs":[1]}}}`:              `field "epochs": want a number or a string`,
		`{"command":{"read":{"blobId":["a","b"]}}}`:         "2 values: the command takes one",
		`{"command":{"read":{"out":1}}}`:                    `field "out": want a string`,
		`{"command":{"fund":{"amount":1}}}`:                 `field "objectId" is missing`,
		`{"command":{"delete":{"blob":"a","blobId":"b"}}}`:  "under another name",
		`{"command":{"daemon":{"apiKey":["a=b"]}}}`:         "want an object",
		`{"command":{"read":{}}}`:                           "takes one BLOB_ID",
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"json", request}, strings.NewReader(""), &stdout, &stderr, noEnv)
		var told failure
		err := json.Unmarshal(stderr.Bytes(), &told)
		if err != nil || code != exitUsage || told.Code != code || stdout.Len() > 0 || !strings.Contains(told.Error, want) {
			t.Errorf("%s: exit code %d, %q: want %d, %q", request, code, &stderr, exitUsage, want)
		}
	}
}

// TestRequestOnStdin: a request read from standard input leaves nothing for a command to store.
func TestRequestOnStdin(t *testing.T) {
	var stdout, stderr bytes.Buffer
	stdin := strings.NewReader(`{"command":{"blobId":{"file":"-","shards":10}}}`)
	if code := run(t.Context(), []string{"json"}, stdin, &stdout, &stderr, noEnv); code != exitFailed ||
		!strings.Contains(stderr.String(), "standard input already held the request") {
		t.Errorf("exit code %d, %q", code, &stderr)
	}
	stdout.Reset()
	code := run(t.Context(), []string{"json", `{"command":{"blobId":{"file":"-","shards":10}}}`}, strings.NewReader("x"),
		&stdout, &stderr, noEnv)
	if code != exitDone || !strings.Contains(stdout.String(), `"unencodedLength": 1`) {
		t.Errorf("exit code %d, %q, %q", code, &stdout, &stderr)
	}
	stdout.Reset()
	if code := run(t.Context(), []string{"json"}, strings.NewReader(`{"command":{"version":{}}}`), &stdout, &stderr,
		noEnv); code != exitDone || !strings.Contains(stdout.String(), `"version": "dev"`) {
		t.Errorf("exit code %d, %q, %q", code, &stdout, &stderr)
	}
}

// TestEveryCommandAsJSON gives every flag and argument of every command as JSON, and checks that it arrives, so no new
// command is forgotten.
func TestEveryCommandAsJSON(t *testing.T) {
	root := newRoot(&app{terminal: terminal{stdout: &output{w: &bytes.Buffer{}}}, env: noEnv})
	names := commandsByName(root)
	reached := map[*cobra.Command]bool{}
	for name, c := range names {
		reached[c] = true
		fields := map[string]any{}
		flags := 0
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && f.Name != "tag" {
				fields[camelCase(f.Name)] = sample(f.Value.Type())
				flags++
			}
		})
		var arguments int
		for _, a := range usageArguments(c.Use) {
			switch {
			case c.LocalFlags().Lookup(a.field) != nil || fields[a.field] != nil: // the flag covers it
			case a.many:
				fields[a.field] = []any{"one", "two"}
				arguments += 2
			default:
				fields[a.field] = "one"
				arguments++
			}
		}
		text, err := json.Marshal(map[string]any{"command": map[string]any{name: fields}})
		if err != nil {
			t.Fatal(err)
		}
		argv, err := parseRequest(root, text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		found, rest, err := root.Find(argv)
		if err != nil || found != c {
			t.Errorf("%s is taken for %s, %v", name, found.CommandPath(), err)
			continue
		}
		if err := c.ParseFlags(rest); err != nil {
			t.Errorf("%s: %v: %s", name, argv, err)
			continue
		}
		changed := 0
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Changed {
				changed++
			}
		})
		if got := c.Flags().NArg(); got != arguments || changed != flags {
			t.Errorf("%s: %d of %d flags and %d of %d arguments arrive", name, changed, flags, got, arguments)
		}
	}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.RunE != nil && !c.HasSubCommands() && !reached[c] && !c.Hidden && c.Name() != "json" {
			t.Errorf("%s has no name in JSON", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			if sub.Name() != "completion" {
				walk(sub)
			}
		}
	}
	walk(root)
	for table, paths := range map[string][]string{
		"originalFields": slices.Collect(maps.Keys(originalFields)),
		"neutralFields":  slices.Collect(maps.Keys(neutralFields)),
	} {
		for _, path := range paths {
			if c, rest, err := root.Find(strings.Fields(path)); err != nil || len(rest) > 0 || path != "" && !reached[c] {
				t.Errorf("%s names %q, which is no command", table, path)
			}
		}
	}
	for name, path := range originalCommands {
		if names[name] == nil {
			t.Errorf("%s: there is no command %q", name, path)
		}
	}
}

// sample returns a value that flags of a type accept.
func sample(kind string) any {
	switch kind {
	case "bool":
		return true
	case "string":
		return "text"
	case "stringArray", "stringSlice":
		return []any{"a", "b,c"}
	case "stringToString":
		return map[string]any{"a": "b,c"}
	case "duration":
		return "1h"
	case "SIZE":
		return "1MiB"
	}
	return json.Number(fmt.Sprint(7))
}
