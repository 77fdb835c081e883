//go:build unix

package alert

import (
	"os/exec"
	"syscall"
)

// killGroup makes the end of a command's context kill it with everything that it started.
func killGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
