// Command shared-address holds the address that several API servers share: each server runs one, and the holder of a
// Lease has the address on its network card and tells the neighbours.
//
// It stands in for kube-vip in the lab (see ../README.md for why) and takes its place without a change of the
// manifest: the same argument, the same variables, the same Lease. What it leaves out: IPv6, Services, BGP, metrics.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

const (
	identityFile = "/etc/kubernetes/admin.conf"
	// The pod's manifest gives this name to the API server beside us; it is in every API server's certificate.
	besideUs = "kubernetes"
	// After an election that could not be held, as when the API server is still starting.
	pause = 2 * time.Second
)

// settings are kube-vip's, by its names.
type settings struct {
	address                      netip.Addr
	port                         int
	node, namespace, lease       string
	duration, renewal, retryWait time.Duration
}

func main() {
	log.SetFlags(log.LUTC | log.LstdFlags)
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "shared-address:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 || args[0] != "manager" {
		return errors.New("usage: shared-address manager, with kube-vip's variables")
	}
	wanted, err := read(os.Getenv)
	if err != nil {
		return err
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	// A predecessor that was killed may have left it: two holders would be worse than none.
	if err := release(wanted.address); err != nil {
		return err
	}
	client, err := connect(wanted)
	if err != nil {
		return err
	}
	for stop.Err() == nil {
		if err := take(stop, client, wanted); err != nil {
			log.Printf("no election: %v", err)
		}
		select {
		case <-stop.Done():
		case <-time.After(pause):
		}
	}
	return release(wanted.address)
}

func read(variable func(string) string) (settings, error) {
	var faults []error
	number := func(name string) int {
		value, err := strconv.Atoi(variable(name))
		if err != nil || value <= 0 {
			faults = append(faults, fmt.Errorf("%s is %q, not a number above zero", name, variable(name)))
		}
		return value
	}
	text := func(name string) string {
		value := variable(name)
		if value == "" {
			faults = append(faults, fmt.Errorf("%s is not set", name))
		}
		return value
	}
	seconds := func(name string) time.Duration { return time.Duration(number(name)) * time.Second }
	address, err := netip.ParseAddr(variable("address"))
	if err != nil || !address.Is4() {
		faults = append(faults, fmt.Errorf("address is %q, not an IPv4 address", variable("address")))
	}
	wanted := settings{
		address: address, port: number("port"),
		node: text("vip_nodename"), namespace: text("cp_namespace"), lease: text("vip_leasename"),
		duration: seconds("vip_leaseduration"), renewal: seconds("vip_renewdeadline"), retryWait: seconds("vip_retryperiod"),
	}
	return wanted, errors.Join(faults...)
}

func connect(wanted settings) (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", identityFile)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", identityFile, err)
	}
	config.Host = fmt.Sprintf("https://%s:%d", besideUs, wanted.port)
	// One lost answer must not cost the renewal.
	config.Timeout = wanted.renewal / 2
	return kubernetes.NewForConfig(config)
}

// take waits to be elected and holds the address until the Lease is lost.
func take(stop context.Context, client *kubernetes.Clientset, wanted settings) error {
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Name: wanted.lease, Namespace: wanted.namespace},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: wanted.node},
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   wanted.duration,
		RenewDeadline:   wanted.renewal,
		RetryPeriod:     wanted.retryWait,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				log.Printf("%s holds %s", wanted.node, wanted.address)
				hold(leading, wanted.address)
			},
			OnStoppedLeading: func() {
				log.Printf("%s no longer holds %s", wanted.node, wanted.address)
				if err := release(wanted.address); err != nil {
					// Better dead than a second holder: the kubelet starts us again, and the start removes the address.
					log.Fatalf("cannot give up %s: %v", wanted.address, err)
				}
			},
			OnNewLeader: func(node string) { log.Printf("%s is held by %s", wanted.address, node) },
		},
	})
	if err != nil {
		return err
	}
	elector.Run(stop)
	return nil
}
