package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// How often the holder puts things right and tells the neighbours; a neighbour that missed one learns by the next.
const repeat = 3 * time.Second

// alone keeps a holder that is about to stop from adding the address again after it was removed.
var alone sync.Mutex

// hold keeps the address on the card of the default route until the context ends.
func hold(leading context.Context, address netip.Addr) {
	tick := time.NewTicker(repeat)
	defer tick.Stop()
	for {
		if err := add(leading, address); err != nil {
			log.Printf("cannot hold %s yet: %v", address, err)
		}
		select {
		case <-leading.Done():
			return
		case <-tick.C:
		}
	}
}

func add(leading context.Context, address netip.Addr) error {
	alone.Lock()
	defer alone.Unlock()
	if leading.Err() != nil {
		return nil
	}
	card, err := outward()
	if err != nil {
		return err
	}
	if err := netlink.AddrReplace(card, single(address)); err != nil {
		return fmt.Errorf("adding it to %s: %w", card.Attrs().Name, err)
	}
	return announce(card, address)
}

// release removes the address from every card.
func release(address netip.Addr) error {
	alone.Lock()
	defer alone.Unlock()
	cards, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("listing the network cards: %w", err)
	}
	for _, card := range cards {
		if err := netlink.AddrDel(card, single(address)); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("removing %s from %s: %w", address, card.Attrs().Name, err)
		}
	}
	return nil
}

func single(address netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(32, 32)}}
}

// outward is the card that the default route leaves by.
func outward() (netlink.Link, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("listing the routes: %w", err)
	}
	for _, route := range routes {
		if route.Dst == nil || route.Dst.IP.IsUnspecified() {
			return netlink.LinkByIndex(route.LinkIndex)
		}
	}
	return nil, errors.New("this node has no default route")
}

// announce says to every neighbour that the address is at our card (RFC 5227, section 3).
func announce(card netlink.Link, address netip.Addr) error {
	ours := card.Attrs().HardwareAddr
	if len(ours) != 6 {
		return fmt.Errorf("%s is no Ethernet card", card.Attrs().Name)
	}
	everyone := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	protocol := uint16(unix.ETH_P_ARP)
	frame := append(append([]byte{}, everyone...), ours...)
	frame = binary.BigEndian.AppendUint16(frame, protocol)
	frame = binary.BigEndian.AppendUint16(frame, 1) // Ethernet
	frame = binary.BigEndian.AppendUint16(frame, unix.ETH_P_IP)
	frame = append(frame, 6, 4)                     // bytes of a card's and of a node's address
	frame = binary.BigEndian.AppendUint16(frame, 1) // a question, whose answer is known
	frame = append(append(frame, ours...), address.AsSlice()...)
	frame = append(append(frame, make([]byte, 6)...), address.AsSlice()...)

	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a raw socket: %w", err)
	}
	defer unix.Close(socket)
	network := protocol<<8 | protocol>>8
	to := unix.SockaddrLinklayer{Protocol: network, Ifindex: card.Attrs().Index, Halen: 6, Addr: [8]byte(append(everyone, 0, 0))}
	if err := unix.Sendto(socket, frame, 0, &to); err != nil {
		return fmt.Errorf("telling the neighbours: %w", err)
	}
	return nil
}
