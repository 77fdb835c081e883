package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"walrus/internal/userfile"
)

func encryptionKeyCommand(a *app) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "encryption-key",
		Short: "make and show keys for encrypted blobs",
		Long: `Everybody who knows a blob's ID can read the blob. To keep content private, encrypt it on this machine before it is
stored. A key file holds an identity, which is secret. Others encrypt for you with its recipient, the text that begins
with age1. The format is age's, so keys and encrypted blobs also work with age and rage.

  walrus encryption-key new me.key                      # prints the recipient
  walrus store --encrypt --recipient age1… letter.txt
  walrus read BLOB_ID --identity me.key

If you lose the key, you lose the content: nobody can restore it.`,
	})
	c.AddCommand(&cobra.Command{
		Use:   "new FILE",
		Short: "make a key and print its recipient",
		Long: `Make a new identity, write it to FILE, readable only by you, and print its recipient. An existing file is never
overwritten.

  walrus encryption-key new me.key

--json prints {"recipient","path"}.`,
		Args: args(cobra.ExactArgs(1), "one FILE"),
		RunE: func(_ *cobra.Command, args []string) error { return a.encryptionKeyNew(absolute(args[0])) },
	}, &cobra.Command{
		Use:   "show FILE",
		Short: "print the recipients of a key",
		Long: `Print the recipients of the identities in FILE, one per line. Others need them to encrypt for you.

--json prints {"recipients"}.`,
		Example: "  walrus encryption-key show me.key",
		Args:    args(cobra.ExactArgs(1), "one FILE"),
		RunE:    func(c *cobra.Command, args []string) error { return a.encryptionKeyShow(c.Context(), args[0]) },
	})
	return c
}

func (a *terminal) encryptionKeyNew(path string) error {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	text := fmt.Sprintf("# created: %s\n# public key: %s\n%s\n", time.Now().UTC().Format(time.RFC3339), id.Recipient(), id)
	if err := userfile.CreateNew(path, []byte(text), 0o600); err != nil { // on disk before anything is encrypted with it
		return fmt.Errorf("make a key: %w", err)
	}
	if a.global.json {
		return a.printJSON(struct {
			Recipient string `json:"recipient"`
			Path      string `json:"path"`
		}{id.Recipient().String(), path})
	}
	a.warn("the identity is in %s: keep it secret, and keep a copy", path)
	_, err = fmt.Fprintln(a.stdout, id.Recipient())
	return err
}

func (a *terminal) encryptionKeyShow(ctx context.Context, path string) error {
	list, err := loadIdentities(ctx, path)
	if err != nil {
		return err
	}
	recipients := []string{}
	for _, id := range list {
		switch id := id.(type) {
		case *age.X25519Identity:
			recipients = append(recipients, id.Recipient().String())
		case *age.HybridIdentity:
			recipients = append(recipients, id.Recipient().String())
		default:
			return fmt.Errorf("%s is an SSH key: its recipient is the .pub file beside it", path)
		}
	}
	return a.result(struct {
		Recipients []string `json:"recipients"`
	}{recipients}, "%s\n", strings.Join(recipients, "\n"))
}
