package enlace

import (
	"fmt"
	"iter"
	"slices"
	"sync"
)

// Registry holds the adapters that a service may use. It is a value: a program
// can have several, and nothing registers itself.
//
// The zero Registry is empty and ready. All methods may be called at any time,
// also while services use it. A run that has begun goes on with the adapter it
// began with.
type Registry struct {
	mu       sync.RWMutex
	adapters map[string]IntegrationAdapter
}

// NewRegistry returns a registry of the adapters. It panics if one of them cannot
// be registered, since that is a mistake in the program; see [Registry.Register]
// for adapters that come at run time.
func NewRegistry(adapters ...IntegrationAdapter) *Registry {
	r := &Registry{}
	for _, a := range adapters {
		if err := r.Register(a); err != nil {
			panic(err)
		}
	}
	return r
}

// Register adds an adapter. It returns ErrDuplicate if the name is taken, and a
// [*ValidationError] if the descriptor is wrong.
func (r *Registry) Register(a IntegrationAdapter) error {
	name, err := checkAdapter(a)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.adapters[name]; taken {
		return &Error{Provider: name, Op: "register", Kind: ErrDuplicate}
	}
	r.put(name, a)
	return nil
}

// Replace adds an adapter or takes the place of the one of that name.
func (r *Registry) Replace(a IntegrationAdapter) error {
	name, err := checkAdapter(a)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(name, a)
	return nil
}

// Remove takes the adapter out. It returns ErrUnknownProvider if there is none.
// Stored integrations of that provider stay and can be used again once an
// adapter of that name is back.
func (r *Registry) Remove(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.adapters[name]; !ok {
		return &Error{Provider: name, Op: "remove", Kind: ErrUnknownProvider}
	}
	delete(r.adapters, name)
	return nil
}

// Lookup returns the adapter of that name, or ErrUnknownProvider.
func (r *Registry) Lookup(name string) (IntegrationAdapter, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if a, ok := r.adapters[name]; ok {
		return a, nil
	}
	return nil, &Error{Provider: name, Op: "look up", Kind: ErrUnknownProvider}
}

// All yields the adapters by name, in order, as they were when the loop began.
func (r *Registry) All() iter.Seq2[string, IntegrationAdapter] {
	return func(yield func(string, IntegrationAdapter) bool) {
		r.mu.RLock()
		snapshot := make(map[string]IntegrationAdapter, len(r.adapters))
		names := make([]string, 0, len(r.adapters))
		for name, a := range r.adapters {
			snapshot[name] = a
			names = append(names, name)
		}
		r.mu.RUnlock()
		slices.Sort(names)
		for _, name := range names {
			if !yield(name, snapshot[name]) {
				return
			}
		}
	}
}

func (r *Registry) put(name string, a IntegrationAdapter) {
	if r.adapters == nil {
		r.adapters = make(map[string]IntegrationAdapter)
	}
	r.adapters[name] = a
}

func checkAdapter(a IntegrationAdapter) (string, error) {
	if a == nil {
		return "", &ValidationError{Faults: []Fault{{Field: "adapter", Problem: "nil"}}}
	}
	d := a.Describe()
	if err := checkDescriptor(d, CapabilitiesOf(a)); err != nil {
		return "", fmt.Errorf("adapter %q: %w", d.Name, err)
	}
	return d.Name, nil
}
