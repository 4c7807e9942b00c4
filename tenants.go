package enlace

// TenantLimits bounds what one tenant may have and do. 0 is no limit.
type TenantLimits struct {
	Integrations int // that may exist at the same time; Create refuses one more with ErrLimit
	Syncs        int // runs at the same time in one process; more wait for their turn
}
