package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"walrus/internal/userfile"
)

// maxRequest bounds a JSON request, in bytes: room for some ten thousand files of a quilt.
const maxRequest = 16 << 20

func jsonCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "json [REQUEST]",
		Short: "run a command given as a JSON object",
		Long: `Run the command described by a JSON object and print its --json output. The object is the argument, or standard input
holds it. Programs use this command, such as those written for the original Walrus.

  walrus json '{"command":{"store":{"files":["photo.jpg"],"epochs":5,"permanent":true}}}'
  walrus json '{"config":"client.yaml","command":{"read":{"blobId":"BLOB_ID","out":"copy.jpg"}}}'
  echo '{"command":{"walletShow":{}}}' | walrus json

Commands and fields have their names from the command line, in camelCase: "blobStatus" is walrus blob-status, "walletSend"
is walrus wallet send, "dryRun" is --dry-run, and "blobId" is the argument BLOB_ID. Arguments such as FILES... are lists.
Different names of the original, such as "blobObjId" or "burnBlobs", are accepted, too. An amount that is a number is in
FROST; a string such as "1.5" or "5FROST" has the meaning it has on the command line. Beside "command", the object may hold
"config", "wallet", "timeout", "logLevel" and "logFormat"; "gasBudget" is accepted and ignored. A null field counts as
absent. Other flags of walrus json itself are ignored.

Unknown names are wrong usage (exit code 2), and the error lists the known ones.`,
		Args: args(cobra.MaximumNArgs(1), "at most one REQUEST"),
		RunE: func(c *cobra.Command, args []string) error {
			a.global.json = true
			text, err := a.requestText(c.Context(), args)
			if err != nil {
				return err
			}
			root := newRoot(a)
			a.global.json = true // parsing the new flags reset it; errors stay JSON
			argv, err := parseRequest(root, text)
			if err != nil {
				return &usageError{fmt.Errorf("walrus json: %w", err)}
			}
			root.SetArgs(argv)
			return root.ExecuteContext(c.Context())
		},
	}
}

// requestText returns the argument, or all of standard input, which is then no longer available as a source.
func (a *terminal) requestText(ctx context.Context, args []string) ([]byte, error) {
	if len(args) > 0 && args[0] != "-" {
		return []byte(args[0]), nil
	}
	var b bytes.Buffer
	if _, err := userfile.CopyUntil(ctx, &b, io.LimitReader(a.stdin, maxRequest+1)); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	text := b.Bytes()
	if len(text) > maxRequest {
		return nil, usagef("walrus json: the request is larger than %d bytes", maxRequest)
	}
	a.stdin = usedInput{}
	return text, nil
}

// usedInput replaces standard input after the request was read from it.
type usedInput struct{}

func (usedInput) Read([]byte) (int, error) {
	return 0, errors.New("standard input already held the request: give the request as an argument")
}

// parseRequest turns a request into a command line for root.
func parseRequest(root *cobra.Command, text []byte) (argv []string, err error) {
	request := map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&request); err != nil {
		return nil, fmt.Errorf(`want an object such as {"command":{"store":{"files":["a.txt"]}}}: %w`, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the object: give one request")
	}
	command, ok := request["command"].(map[string]any)
	if !ok || len(command) != 1 {
		return nil, errors.New(`"command" must be an object with one command in it, such as {"info":{}}`)
	}
	delete(request, "command")
	commands := commandsByName(root)
	for name, value := range command {
		c := commands[name]
		if c == nil {
			return nil, unknownName("command", name, slices.Sorted(maps.Keys(commands)))
		}
		fields, ok := value.(map[string]any)
		if !ok && value != nil {
			return nil, fmt.Errorf("the fields of %q must be an object", name)
		}
		argv, err = newCommandForm(c).arguments(fields)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		argv = append(strings.Fields(c.CommandPath())[1:], argv...)
	}
	global, err := globalForm(root).arguments(request)
	if err != nil {
		return nil, err
	}
	return append(append(global, "--json"), argv...), nil
}

// commandsByName returns all runnable commands by their JSON names.
func commandsByName(root *cobra.Command) map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	var walk func(prefix string, c *cobra.Command)
	walk = func(prefix string, c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Hidden || slices.Contains([]string{"json", "help", "completion"}, sub.Name()) {
				continue
			}
			for _, name := range append([]string{sub.Name()}, sub.Aliases...) {
				name := strings.TrimPrefix(prefix+"-"+name, "-")
				if !sub.HasSubCommands() {
					all[camelCase(name)] = sub
				}
				walk(name, sub)
			}
		}
	}
	walk("", root)
	for name, path := range originalCommands {
		if c, rest, err := root.Find(strings.Fields(path)); err == nil && len(rest) == 0 {
			all[name] = c
		}
	}
	return all
}

// camelCase converts words-with-dashes to camelCase.
func camelCase(name string) string {
	words := strings.Split(name, "-")
	for i := 1; i < len(words); i++ {
		if words[i] != "" {
			words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
		}
	}
	return strings.Join(words, "")
}
