package redis

import "testing"

func TestStoreNames(t *testing.T) {
	for url, want := range map[string]string{
		"redis://H:1":                       `h:1 database 0 prefix "p:"`,
		"rediss://u:secret@h:1/3?prefix=q:": `h:1 database 3 prefix "q:"`,
		"redis://:secret@b,a:7,b":           `a:7,b:6379 database 0 prefix "p:"`,
		"redis://b,a/2?master_name=m&sentinel_username=x&sentinel_password=secret": `a:26379,b:26379 master "m" database 2 prefix "p:"`,
	} {
		if got, err := StoreName(url, "p:"); err != nil || got != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
	if _, err := StoreName("redis://h:1/x", "p:"); err == nil {
		t.Error("no error")
	}
}
