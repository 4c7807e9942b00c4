package rdstation

import (
	"context"

	"github.com/enlace-go/enlace"
)

// Deals is /deals: sorted by name, rating, created_at, updated_at or closed_at.
// A deal is created "ongoing" only: anything else is ErrInvalid.
func (CRM) Deals() Resource[Deal] { return Resource[Deal]{"deals"} }

// Contacts is /contacts: sorted by name or created_at. Several may have the same
// e-mail address; the filter email:… finds them.
func (CRM) Contacts() Resource[CRMContact] { return Resource[CRMContact]{"contacts"} }

// Organizations is /organizations: sorted by name, created_at or updated_at.
func (CRM) Organizations() Resource[Organization] { return Resource[Organization]{"organizations"} }

// Tasks is /tasks: sorted by due_date, deal_id, completed_at, updated_at or status.
// A task is created "open" only: anything else is ErrInvalid.
func (CRM) Tasks() Resource[Task] { return Resource[Task]{"tasks"} }

// Products is /products: sorted by name or status.
func (CRM) Products() Resource[Product] { return Resource[Product]{"products"} }

// Pipelines is /pipelines. A new one gets the provider's usual stages.
func (CRM) Pipelines() Resource[Pipeline] { return Resource[Pipeline]{"pipelines"} }

// Stages is /pipelines/{id}/stages.
func (CRM) Stages(pipeline string) Resource[Stage] {
	return Resource[Stage]{"pipelines/" + pipeline + "/stages"}
}

// Notes is /deals/{id}/notes: they can be listed and created.
func (CRM) Notes(deal string) Resource[Note] { return Resource[Note]{"deals/" + deal + "/notes"} }

// DealProducts is /deals/{id}/products, with deletion.
func (CRM) DealProducts(deal string) Resource[DealProduct] {
	return Resource[DealProduct]{"deals/" + deal + "/products"}
}

// Users is /users, read only: filters is:active and is:visible.
func (CRM) Users() Resource[User] { return Resource[User]{"users"} }

// Teams is /teams, read only.
func (CRM) Teams() Resource[Team] { return Resource[Team]{"teams"} }

// Campaigns is /campaigns: what brought deals in. There is no deletion.
func (CRM) Campaigns() Resource[Category] { return Resource[Category]{"campaigns"} }

// Sources is /sources: where deals came from. There is no deletion.
func (CRM) Sources() Resource[Category] { return Resource[Category]{"sources"} }

// LostReasons is /lost_reasons: why deals were lost. There is no deletion.
func (CRM) LostReasons() Resource[Category] { return Resource[Category]{"lost_reasons"} }

// Segments is /segments: kinds of organizations. There is no deletion.
func (CRM) Segments() Resource[Category] { return Resource[Category]{"segments"} }

// CustomFields is /custom_fields, with deletion.
func (CRM) CustomFields() Resource[CustomField] { return Resource[CustomField]{"custom_fields"} }

// Webhooks is /webhooks, with deletion; one for each event (sheet 7.6).
func (CRM) Webhooks() Resource[CRMWebhook] { return Resource[CRMWebhook]{"webhooks"} }

// ContactsByEmail finds contacts by GET /contacts with a filter (sheet 3.2); there
// may be several, of which the first 200 are returned. Use it before a create whose
// outcome is not known. Errors: those of every read, see [CRM].
func (crm CRM) ContactsByEmail(ctx context.Context, c *enlace.Conn, email string) ([]CRMContact, error) {
	l, err := crm.Contacts().List(ctx, c, Query{Filter: "email:" + QuoteRDQL(email), Sort: "created_at", Size: crmPageSize})
	return l.Items, err
}

// Deal is an opportunity of a sale. Zero fields are left out when it is written;
// give a map to empty one.
type Deal struct {
	ID                string         `json:"id,omitempty"`
	Name              string         `json:"name,omitempty"`
	RecurrencePrice   float64        `json:"recurrence_price,omitempty"`
	OneTimePrice      float64        `json:"one_time_price,omitempty"`
	TotalPrice        float64        `json:"total_price,omitempty"`
	ExpectedCloseDate string         `json:"expected_close_date,omitempty"` // 2006-01-02
	Rating            int            `json:"rating,omitempty"`              // 1 to 5
	Status            string         `json:"status,omitempty"`              // ongoing, won, lost or paused
	ClosedAt          string         `json:"closed_at,omitempty"`
	PipelineID        string         `json:"pipeline_id,omitempty"`
	StageID           string         `json:"stage_id,omitempty"`
	OwnerID           string         `json:"owner_id,omitempty"`
	SourceID          string         `json:"source_id,omitempty"`
	CampaignID        string         `json:"campaign_id,omitempty"`
	LostReasonID      string         `json:"lost_reason_id,omitempty"`
	OrganizationID    string         `json:"organization_id,omitempty"`
	ContactIDs        []string       `json:"contact_ids,omitempty"`
	CustomFields      map[string]any `json:"custom_fields,omitempty"` // by slug
	CreatedAt         string         `json:"created_at,omitempty"`
	UpdatedAt         string         `json:"updated_at,omitempty"`
}

// CRMContact is a person in the CRM. It has nothing to do with a [Contact] of
// Marketing but perhaps the e-mail address.
type CRMContact struct {
	ID             string          `json:"id,omitempty"`
	Name           string          `json:"name,omitempty"`
	JobTitle       string          `json:"job_title,omitempty"`
	Emails         []EmailAddress  `json:"emails,omitempty"`
	Phones         []PhoneNumber   `json:"phones,omitempty"`
	Birthday       string          `json:"birthday,omitempty"` // 2006-01-02, or 0000-01-02 without the year
	SocialProfiles []SocialProfile `json:"social_profiles,omitempty"`
	OrganizationID string          `json:"organization_id,omitempty"`
	LegalBases     []LegalBasis    `json:"legal_bases,omitempty"`
	CustomFields   map[string]any  `json:"custom_fields,omitempty"` // by slug
	CreatedAt      string          `json:"created_at,omitempty"`
	UpdatedAt      string          `json:"updated_at,omitempty"`
}

// EmailAddress is one of a contact's.
type EmailAddress struct {
	Email string `json:"email"`
}

// PhoneNumber is one of a contact's.
type PhoneNumber struct {
	Phone string `json:"phone"`
	Type  string `json:"type,omitempty"` // work, fax, home or mobile
}

// SocialProfile is one of a contact's.
type SocialProfile struct {
	Type     string `json:"type"` // facebook, linkedin or skype
	Username string `json:"username"`
}

// Organization is a company in the CRM.
type Organization struct {
	ID           string         `json:"id,omitempty"`
	Name         string         `json:"name,omitempty"`
	Description  string         `json:"description,omitempty"`
	URL          string         `json:"url,omitempty"`
	Address      *Address       `json:"address,omitempty"`
	SegmentIDs   []string       `json:"segment_ids,omitempty"`
	FollowerIDs  []string       `json:"follower_ids,omitempty"`
	OwnerID      string         `json:"owner_id,omitempty"`
	CustomFields map[string]any `json:"custom_fields,omitempty"`
	CreatedAt    string         `json:"created_at,omitempty"`
	UpdatedAt    string         `json:"updated_at,omitempty"`
}

// Address is where an organization is.
type Address struct {
	Line      string   `json:"line,omitempty"`
	Latitude  *float64 `json:"latitude,omitempty"`
	Longitude *float64 `json:"longitude,omitempty"`
}

// Task is something to do for a deal.
type Task struct {
	ID            string   `json:"id,omitempty"`
	Name          string   `json:"name,omitempty"`
	Description   string   `json:"description,omitempty"`
	Type          string   `json:"type,omitempty"`   // call, email, meeting, task, lunch, visit or whatsapp
	Status        string   `json:"status,omitempty"` // open, completed or canceled
	DueDate       string   `json:"due_date,omitempty"`
	DealID        string   `json:"deal_id,omitempty"`
	OwnerIDs      []string `json:"owner_ids,omitempty"`
	CreatedByID   string   `json:"created_by_id,omitempty"`
	CompletedAt   string   `json:"completed_at,omitempty"`
	CompletedByID string   `json:"completed_by_id,omitempty"`
	CreatedAt     string   `json:"created_at,omitempty"`
	UpdatedAt     string   `json:"updated_at,omitempty"`
}

// Product is something that is sold.
type Product struct {
	ID           string         `json:"id,omitempty"`
	Name         string         `json:"name,omitempty"`
	Description  string         `json:"description,omitempty"`
	Price        float64        `json:"price,omitempty"`
	Visible      *bool          `json:"visible,omitempty"`
	CustomFields map[string]any `json:"custom_fields,omitempty"`
	CreatedAt    string         `json:"created_at,omitempty"`
	UpdatedAt    string         `json:"updated_at,omitempty"`
}

// Pipeline is a sales funnel.
type Pipeline struct {
	ID        string   `json:"id,omitempty"`
	Name      string   `json:"name,omitempty"`
	Order     int      `json:"order,omitempty"`
	StageIDs  []string `json:"stage_ids,omitempty"`
	CreatedAt string   `json:"created_at,omitempty"`
	UpdatedAt string   `json:"updated_at,omitempty"`
}

// Stage is a step of a pipeline.
type Stage struct {
	ID          string `json:"id,omitempty"`
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	Objective   string `json:"objective,omitempty"`
	Order       int    `json:"order,omitempty"`
	CreatedAt   string `json:"created_at,omitempty"`
	UpdatedAt   string `json:"updated_at,omitempty"`
}

// Note is a note on a deal.
type Note struct {
	ID           string `json:"id,omitempty"`
	Description  string `json:"description,omitempty"` // 524,288 characters at most
	UserID       string `json:"user_id,omitempty"`
	RegisteredAt string `json:"registered_at,omitempty"`
	PinnedAt     string `json:"pinned_at,omitempty"`
	EditedByID   string `json:"edited_by_id,omitempty"`
	EditedAt     string `json:"edited_at,omitempty"`
}

// DealProduct is a product in a deal.
type DealProduct struct {
	ID               string  `json:"id,omitempty"`
	ProductID        string  `json:"product_id,omitempty"`
	Price            float64 `json:"price,omitempty"`
	Quantity         float64 `json:"quantity,omitempty"`
	DiscountType     string  `json:"discount_type,omitempty"`
	Discount         float64 `json:"discount,omitempty"`
	TotalPrice       float64 `json:"total_price,omitempty"`
	BillingFrequency string  `json:"billing_frequency,omitempty"`
}

// User is a user of the CRM.
type User struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
	Phone string `json:"phone"`
}

// Team is a group of users. Its id has a name of its own (sheet Q39).
type Team struct {
	ID      string   `json:"team_id"`
	Name    string   `json:"name"`
	UserIDs []string `json:"user_ids"`
}

// Category is one of the account's own lists: a campaign, a source, a reason for a
// lost deal, or a segment of organizations.
type Category struct {
	ID          string `json:"id,omitempty"`
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	CreatedAt   string `json:"created_at,omitempty"`
	UpdatedAt   string `json:"updated_at,omitempty"`
}

// CustomField is a field that the account has added.
type CustomField struct {
	ID             string   `json:"id,omitempty"`
	Name           string   `json:"name,omitempty"`
	Slug           string   `json:"slug,omitempty"`
	Type           string   `json:"type,omitempty"`
	Entity         string   `json:"entity,omitempty"`
	Options        []string `json:"options,omitempty"`
	Unique         *bool    `json:"unique,omitempty"`
	AllowNewOption *bool    `json:"allow_new_option,omitempty"`
	Order          int      `json:"order,omitempty"`
}

// CRMWebhook is a subscription of the CRM to one event (sheet 7.6). AuthHeader and
// AuthKey come together or not at all, and the key is not given back.
type CRMWebhook struct {
	ID         string `json:"id,omitempty"`
	Name       string `json:"name,omitempty"`
	EventName  string `json:"event_name,omitempty"` // crm_deal_created…
	Method     string `json:"http_method,omitempty"`
	URL        string `json:"url,omitempty"`
	AuthHeader string `json:"auth_header,omitempty"`
	AuthKey    string `json:"auth_key,omitempty"`
	Status     string `json:"status,omitempty"` // active, suspended or inactive
	CreatedAt  string `json:"created_at,omitempty"`
	UpdatedAt  string `json:"updated_at,omitempty"`
}
