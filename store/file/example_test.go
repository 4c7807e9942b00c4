//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package file_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/store/file"
	"github.com/enlace-go/enlace/store/memory"
)

// A host that keeps its credentials in files, and the rest elsewhere.
func ExampleOpen() {
	if err := keepInFiles(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output: connected https://acme.bitrix24.com
}

func keepInFiles(ctx context.Context) error {
	home, err := os.MkdirTemp("", "host")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	credentials, err := file.Open(filepath.Join(home, "credentials"), file.Options{})
	if err != nil {
		return err
	}
	defer credentials.Close()

	key, err := enlace.ParseKey(enlace.GenerateKey()) // a real host keeps it: see env.Source.Keys
	if err != nil {
		return err
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		return err
	}
	service, err := enlace.New(enlace.Config{
		Registry:    enlace.NewRegistry(bitrix24.Adapter{}),
		Store:       memory.New(), // or any other
		Credentials: credentials,
		Keys:        keys,
	})
	if err != nil {
		return err
	}
	integration, err := service.Create(ctx, enlace.NewIntegration{
		Provider: bitrix24.Name,
		Credential: &enlace.Credential{
			Scheme:  bitrix24.SchemeWebhook,
			Secrets: map[string]enlace.Secret{"url": enlace.NewSecret("https://acme.bitrix24.com/rest/1/xxxxxxxxxx/")},
		},
	})
	if err != nil {
		return err
	}
	fmt.Println(integration.Status, integration.BaseURL)
	return nil
}
