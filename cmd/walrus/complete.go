package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"walrus/client"
	"walrus/pin"
	"walrus/pinapi"
)

// completionTimeout bounds the wait after the tab key.
const completionTimeout = 3 * time.Second

// flagWords lists the values of flags that accept only a few words.
var flagWords = map[string][]cobra.Completion{
	"match": {"exact", "iexact", "partial", "ipartial"}, "status": {"queued", "pinning", "pinned", "failed"},
	"consistency": {"default", "strict"}, "log-level": {"debug", "info", "warn", "error"}, "log-format": {"text", "json"},
	"jwt-algorithm": {"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"},
}

// addCompletions makes shells complete arguments by the usage lines: IDs of the wallet's blobs, files, or nothing.
func (a *app) addCompletions(c *cobra.Command) {
	arguments := usageArguments(c.Use)
	switch {
	case c.HasSubCommands() || c.ValidArgsFunction != nil:
	case len(arguments) == 0:
		c.ValidArgsFunction = cobra.NoFileCompletions
	default:
		switch arguments[0].field {
		case "blob", "blobId", "quiltId":
			c.ValidArgsFunction = a.completeBlobs
		case "pin":
			c.ValidArgsFunction = pinApp{a}.completePins
		case "folder":
			c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
				return nil, cobra.ShellCompDirectiveFilterDirs
			}
		case "objectId", "address", "request", "name", "tx":
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
	for name, words := range flagWords {
		if c.LocalFlags().Lookup(name) != nil {
			// It cannot fail: the flag exists.
			_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	for _, dir := range []string{"home", "dir", "pins"} {
		if c.LocalNonPersistentFlags().Lookup(dir) != nil {
			_ = c.MarkFlagDirname(dir) // cannot fail: the flag exists
		}
	}
	for _, sub := range c.Commands() {
		a.addCompletions(sub)
	}
}

// completeBlobs offers the wallet's blobs. It prints no errors, because the user is typing.
func (a *app) completeBlobs(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(c.Context(), completionTimeout)
	defer cancel()
	a.global.logLevel = cmp.Or(a.global.logLevel, "error")
	list, err := a.ownBlobs(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return blobCompletions(list, usageArguments(c.Use)[0].field == "blob", typed), cobra.ShellCompDirectiveNoFileComp
}

// completePins offers the blobs that are pinned. It makes no home and opens no store: only a running process answers.
func (a pinApp) completePins(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(c.Context(), completionTimeout)
	defer cancel()
	home := ""
	if f := c.Flags().Lookup("home"); f != nil {
		home = f.Value.String()
	}
	path, err := a.pinHome(home)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	p, err := pinapi.Dial(ctx, path)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer func() { _ = p.Close() }() // always nil
	list, _, err := p.List(pin.Filter{Limit: pin.MaxPage})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return pinCompletions(list, args, typed), cobra.ShellCompDirectiveNoFileComp
}

// pinCompletions offers each blob once, without those typed already. Text that begins no blob ID may begin the
// ID of a request.
func pinCompletions(list []pin.Request, args []string, typed string) (all []cobra.Completion) {
	seen := map[string]bool{}
	for _, arg := range args {
		seen[trimID(arg)] = true
	}
	for i := range list {
		id := shownBlob(&list[i])
		if !strings.HasPrefix(id, trimID(typed)) {
			id = list[i].ID
		}
		if !seen[id] && strings.HasPrefix(id, trimID(typed)) {
			seen[id], all = true, append(all, cobra.CompletionWithDesc(id, strings.TrimSpace(list[i].Name+" "+string(list[i].Status))))
		}
	}
	return all
}

func (a *app) ownBlobs(ctx context.Context) (list []client.OwnedBlob, err error) {
	ctx, s, err := a.openPaying(ctx, completionTimeout)
	if err != nil {
		return nil, err
	}
	defer s.close(&err)
	return s.ListBlobs(ctx, false)
}

// blobCompletions offers blob IDs. With records it offers object IDs for blobs that have several, or if the typed text
// begins like one.
func blobCompletions(list []client.OwnedBlob, records bool, typed string) (all []cobra.Completion) {
	count := map[string]int{}
	for i := range list {
		count[list[i].BlobID.String()]++
	}
	for i := range list {
		b := &list[i]
		id := b.BlobID.String()
		if records && (count[id] > 1 || strings.HasPrefix(typed, "0x")) {
			id = b.Object.String()
		}
		if count[id] < 0 || !strings.HasPrefix(id, strings.TrimPrefix(typed, idMark)) {
			continue
		}
		count[id] = -1 // offered already
		all = append(all, cobra.CompletionWithDesc(id, byteSize(b.Size)+", until "+endEpoch(b.End)+", "+recordState(b)))
	}
	return all
}
