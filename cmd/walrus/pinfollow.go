package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"walrus/ledger"
	"walrus/pinnode"
)

// pinFollowFlags are the flags of pin follow.
type pinFollowFlags struct {
	home, name      string
	attribute, meta map[string]string
	remove          bool
}

func pinFollowCommand(a pinApp) *cobra.Command {
	var f pinFollowFlags
	c := &cobra.Command{
		Use:   "follow [ADDRESS]",
		Short: "keep all blobs of an account, or with an attribute, also those to come",
		Long: `Let the pin process pin every certified blob of an account, those of now and those to come, within seconds. With --attribute,
only the blobs that have it. Without ADDRESS, but with --attribute, pin the blobs of everybody that have it, from now on: the
ledger lists older ones by account only. Anybody can give a blob an attribute, so set a limit: walrus pin run --limit.

Following the same account, or the same attributes of everybody, again replaces the rule. Without arguments, list what is
followed. The process hears of new certificates from the storage nodes; every five minutes it also looks by itself.

--remove ends it; the pins that were made stay. A pin of a followed account that you remove with walrus pin rm is made again
when the pin process starts again, so end the following first.

--json prints the rules: [{"owner","attributes","name","meta"}]. "owner" is missing for everybody.`,
		Example: "  walrus pin follow 0xADDRESS\n  walrus pin follow 0xADDRESS --attribute keep=yes --name archive\n" +
			"  walrus pin follow --attribute archive=forever\n" +
			"  walrus pin follow\n  walrus pin follow --remove 0xADDRESS\n  walrus pin follow --remove --attribute archive=forever",
		Args: args(cobra.MaximumNArgs(1), "at most one ADDRESS"),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 && len(f.attribute) == 0 && (f.remove || f.name != "" || len(f.meta) > 0) {
				return usagef("%s: give ADDRESS, or --attribute KEY=VALUE for the blobs of everybody", c.CommandPath())
			}
			if _, empty := f.attribute[""]; empty {
				return usagef("--attribute %q: the key is empty: want KEY=VALUE, such as keep=yes", "="+f.attribute[""])
			}
			return a.pinFollow(c.Context(), &f, args)
		},
	}
	flags := c.Flags()
	pinHomeFlag(c, &f.home)
	flags.StringVar(&f.name, "name", "", "`NAME` of the pins, at most 255 characters")
	flags.StringToStringVar(&f.meta, "meta", nil, "`KEY=VALUE` to keep with the pins; may be repeated")
	flags.StringToStringVar(&f.attribute, "attribute", nil, "only blobs with the attribute `KEY=VALUE`; may be repeated")
	flags.Lookup("meta").DefValue, flags.Lookup("attribute").DefValue = "", "" // help shows no empty defaults
	flags.BoolVar(&f.remove, "remove", false, "end the rule")
	return c
}

func (a pinApp) pinFollow(_ context.Context, f *pinFollowFlags, args []string) error {
	home, err := a.pinHome(f.home)
	if err != nil {
		return err
	}
	list, err := pinnode.LoadFollows(home)
	if err != nil {
		return err
	}
	if len(args) == 1 || len(f.attribute) > 0 {
		rule := pinnode.Follow{Attributes: f.attribute, Name: f.name, Meta: f.meta}
		if len(args) == 1 {
			if err := rule.Owner.UnmarshalText([]byte(args[0])); err != nil {
				return usagef("follow: %w", err)
			}
			if rule.Owner == (ledger.Address{}) {
				return usagef("follow: %s is nobody's account: leave it out to follow everybody by --attribute", args[0])
			}
		}
		if list, err = changeFollows(list, rule, f.remove); err != nil {
			return err
		}
		if err := errors.Join(os.MkdirAll(home, 0o700), pinnode.SaveFollows(home, list)); err != nil {
			return err
		}
	}
	rows := [][]string{{"account", "attributes", "name"}}
	for _, rule := range list {
		owner := "everybody"
		if rule.Owner != (ledger.Address{}) {
			owner = rule.Owner.String()
		}
		rows = append(rows, []string{owner, pairsText(rule.Attributes), rule.Name})
	}
	return a.resultTable(append([]pinnode.Follow{}, list...), rows)
}

// changeFollows replaces the rule for the same account, or the same attributes of everybody, or removes it.
func changeFollows(list []pinnode.Follow, rule pinnode.Follow, remove bool) ([]pinnode.Follow, error) {
	same := func(old pinnode.Follow) bool { return old.Of() == rule.Of() }
	had := slices.ContainsFunc(list, same)
	if list = slices.DeleteFunc(list, same); !remove {
		return append(list, rule), nil
	}
	if !had {
		return nil, fmt.Errorf("end following %s: %w: walrus pin follow lists what is", rule.Of(), errNotFollowed)
	}
	return list, nil
}

func pairsText(m map[string]string) string {
	var list []string
	for _, k := range sortedKeys(m) {
		list = append(list, k+"="+m[k])
	}
	return strings.Join(list, ", ")
}

// errNotFollowed: there is no such rule.
const errNotFollowed = noPin("it is not followed")
