package config

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDefaultsAreGood(t *testing.T) {
	if p := Default().Check(); len(p) > 0 {
		t.Fatal(p)
	}
	if _, err := Load(Source{}); err != nil {
		t.Fatal(err)
	}
}
