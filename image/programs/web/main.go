// Command web is what the lab's scenarios deploy: a server that names the pod it runs in.
//
//	web [ADDRESS]    serves on ADDRESS (default :8080)
//	web hostname     prints the pod's name
//	web get URL      prints what URL answers; exit code 1 when it does not answer 200 within ten seconds
//
// The image holds no shell: `kubectl exec … -- /web hostname` is what proves that exec works.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	defaultAddress = ":8080"
	// One question of a scenario, answered by a pod on a machine that is busy booting others.
	patience = 10 * time.Second
	// Kubernetes gives thirty seconds; a test has no use for more than a moment.
	farewell = 2 * time.Second
	// What `web get` prints at most, in bytes.
	answerLimit = 64 * 1024
)

func main() {
	log.SetFlags(log.LUTC | log.LstdFlags)
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "hostname":
		name, err := os.Hostname()
		fmt.Println(name)
		return err
	case len(args) == 2 && args[0] == "get":
		return get(args[1])
	case len(args) == 1:
		return serve(args[0])
	case len(args) == 0:
		return serve(defaultAddress)
	}
	return errors.New("usage: web [ADDRESS] | web hostname | web get URL")
}

func get(url string) error {
	client := http.Client{Timeout: patience}
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, io.LimitReader(answer.Body, answerLimit)); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, answer.Status)
	}
	return nil
}

func serve(address string) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /", func(answer http.ResponseWriter, request *http.Request) {
		log.Printf("%s %s from %s", request.Method, request.URL.Path, request.RemoteAddr)
		fmt.Fprintln(answer, name)
	})
	routes.HandleFunc("GET /healthz", func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(answer, "ok")
	})
	server := &http.Server{Addr: address, Handler: routes, ReadHeaderTimeout: patience, WriteTimeout: patience}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	go func() {
		<-stop.Done()
		deadline, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		_ = server.Shutdown(deadline)
	}()
	log.Printf("%s listens on %s", name, address)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
