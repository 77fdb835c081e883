package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

const (
	// commandTimeout bounds the run of a command. After it the command and all that it started are killed.
	commandTimeout = 30 * time.Second
	// commandWait bounds the wait for a killed command's descendants to let go of its input.
	commandWait = 2 * time.Second
)

// command runs a program for each alert, without a shell. The alert comes on standard input as JSON, and its main
// fields in the environment. Nothing else of the node's environment is passed on but commandEnv. The output is
// discarded: it is the program's to log.
type command struct{ words []string }

// commandEnv lists the variables of the node's environment that a command gets.
var commandEnv = []string{"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"}

func (command) name() string { return "command" }

func (c command) send(ctx context.Context, a Alert) error {
	body, err := json.Marshal(a)
	if err != nil {
		return final(err)
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.words[0], c.words[1:]...)
	cmd.Stdin, cmd.Env, cmd.WaitDelay = bytes.NewReader(body), commandVariables(&a), commandWait
	killGroup(cmd)
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return final(fmt.Errorf("it ran for more than %v and was killed", commandTimeout))
	case errors.As(err, &exit):
		return fmt.Errorf("it ended with %v", exit.ProcessState)
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return final(errors.New("there is no such program"))
	case errors.Is(err, os.ErrPermission):
		return final(errors.New("it may not be run: is it executable for the node's user?"))
	case errors.Is(err, exec.ErrWaitDelay):
		return final(errors.New("it left processes behind that hold its input; they were not waited for"))
	}
	return errors.New("it could not be started") // the error may show its path
}

// commandVariables makes the environment of a command.
func commandVariables(a *Alert) (env []string) {
	for _, name := range commandEnv {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for _, v := range [][2]string{
		{"ID", a.ID}, {"STATE", string(a.State)}, {"CAUSE", string(a.Cause)}, {"TIME", a.Time.Format(time.RFC3339)},
		{"TEXT", a.Text}, {"NETWORK", clean(a.Network)}, {"NODE_ID", a.Node.ID}, {"NODE_NAME", clean(a.Name)},
		{"BLOB_ID", a.BlobID}, {"MONITOR", a.Monitor}, {"EVIDENCE", a.Evidence},
	} {
		env = append(env, "WALRUS_ALERT_"+v[0]+"="+v[1])
	}
	return env
}
