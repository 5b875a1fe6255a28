// Command pause holds a pod's namespaces open: it sleeps, and as process 1 of a shared process namespace it buries
// the processes whose parents are gone.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for got := range signals {
		if got != syscall.SIGCHLD {
			return
		}
		for {
			if gone, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != nil || gone <= 0 {
				break
			}
		}
	}
}
