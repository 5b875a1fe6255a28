// Package v20170312 stands in for Tencent's VPC client: flannel compiles against it, every request is refused.
package v20170312

import "errors"

var errLeftOut = errors.New("this flannel was built without Tencent's SDK: choose another backend, such as vxlan")

// Client refuses every request.
type Client struct{}

// Filter narrows a question.
type Filter struct {
	Name   *string
	Values []*string
}

// Route is an entry of a route table.
type Route struct {
	DestinationCidrBlock, GatewayType, GatewayId, RouteType *string
	RouteId                                                 *uint64
	Enabled                                                 *bool
}

// RouteTable is a route table with its routes.
type RouteTable struct {
	RouteTableId *string
	RouteSet     []*Route
}

// DescribeRouteTablesRequest asks for route tables.
type DescribeRouteTablesRequest struct{ Filters []*Filter }

// DescribeRouteTablesResponse would hold the answer.
type DescribeRouteTablesResponse struct {
	Response *struct{ RouteTableSet []*RouteTable }
}

// DeleteRoutesRequest would remove routes.
type DeleteRoutesRequest struct {
	RouteTableId *string
	Routes       []*Route
}

// CreateRoutesRequest would add routes.
type CreateRoutesRequest struct {
	RouteTableId *string
	Routes       []*Route
}

// NewClientWithSecretId makes a client; the credentials are not kept.
func NewClientWithSecretId(_, _, _ string) (*Client, error) { return &Client{}, nil }

// NewDescribeRouteTablesRequest makes an empty question.
func NewDescribeRouteTablesRequest() *DescribeRouteTablesRequest {
	return &DescribeRouteTablesRequest{}
}

// NewDeleteRoutesRequest makes an empty request.
func NewDeleteRoutesRequest() *DeleteRoutesRequest { return &DeleteRoutesRequest{} }

// NewCreateRoutesRequest makes an empty request.
func NewCreateRoutesRequest() *CreateRoutesRequest { return &CreateRoutesRequest{} }

// DescribeRouteTables refuses.
func (*Client) DescribeRouteTables(*DescribeRouteTablesRequest) (*DescribeRouteTablesResponse, error) {
	return nil, errLeftOut
}

// DeleteRoutes refuses.
func (*Client) DeleteRoutes(*DeleteRoutesRequest) (struct{}, error) { return struct{}{}, errLeftOut }

// CreateRoutes refuses.
func (*Client) CreateRoutes(*CreateRoutesRequest) (struct{}, error) { return struct{}{}, errLeftOut }
