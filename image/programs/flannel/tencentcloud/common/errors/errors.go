// Package errors names the one error type of Tencent's SDK that flannel looks for.
package errors

// TencentCloudSDKError is never made here: no request ever leaves.
type TencentCloudSDKError struct{}

func (*TencentCloudSDKError) Error() string {
	return "this flannel was built without Tencent's SDK"
}
