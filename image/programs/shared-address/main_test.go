package main

import (
	"strings"
	"testing"
)

func TestSettingsNameEveryFault(t *testing.T) {
	_, err := read(func(name string) string {
		return map[string]string{"address": "fd00::1", "port": "0", "vip_nodename": "a"}[name]
	})
	for _, word := range []string{"address", "port", "cp_namespace", "vip_leasename", "vip_leaseduration"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s is not named in %v", word, err)
		}
	}
}
