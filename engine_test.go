package enlace_test

import (
	"testing"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/engine/enginetest"
	"github.com/enlace-go/enlace/store/memory"
)

func TestEngine(t *testing.T) {
	enginetest.Test(t, func(t *testing.T) (enlace.Store, func() enlace.Engine) {
		store := memory.New()
		return store, func() enlace.Engine { return enlace.NewEngine(store, nil) }
	})
}
